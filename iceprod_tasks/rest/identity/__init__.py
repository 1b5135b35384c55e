"""Who asks: tokens of our own, those of an OpenID provider, and accounts with passwords."""
