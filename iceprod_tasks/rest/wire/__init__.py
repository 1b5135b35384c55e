"""What is between the socket and Tornado: connections, how fast they go, and heads of requests before they are read."""
