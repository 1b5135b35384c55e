#!/usr/bin/env bash
# Every route of the native REST API by curl, with the answer that each request gets.
#
# Needs bash, curl, and two variables: ICEPROD_TASKS_SERVER, the address of a service that nobody else uses, and
# ICEPROD_TASKS_TOKEN, a token of role admin. Ends with 1 at the first answer that is not the one written here.
set -euo pipefail
: "${ICEPROD_TASKS_SERVER:?}" "${ICEPROD_TASKS_TOKEN:?}"

# call STATUS METHOD PATH [BODY]: send a request and stop unless the answer has this HTTP status. With FILE set, the
# answer goes there; KEY is sent as the request's Idempotency-Key; with FORM set, the body is one of a form.
call() {
    local wanted=$1 method=$2 path=$3 body=${4:-}
    local -a options=(--silent --show-error --globoff --request "$method" --write-out '\n%{http_code}')
    options+=(--header "Authorization: Bearer $ICEPROD_TASKS_TOKEN")
    if [ -n "${FORM:-}" ]; then
        options+=(--data-urlencode "$body")
    elif [ -n "$body" ]; then
        options+=(--header 'Content-Type: application/json' --data "$body")
    fi
    [ -z "${KEY:-}" ] || options+=(--header "Idempotency-Key: $KEY")
    [ -z "${FILE:-}" ] || options+=(--output "$FILE")
    answer=$(curl "${options[@]}" "$ICEPROD_TASKS_SERVER$path")
    status=${answer##*$'\n'} answer=${answer%$'\n'*}
    local first_line=${answer%%$'\n'*}
    echo "$status $method $path ${first_line:0:200}"
    [ "$status" = "$wanted" ] || { echo "expected $wanted" >&2; exit 1; }
}

# answers PATTERN: stop unless the last answer is like this; * stands for anything.
answers() {
    # To bash a bracket would begin a set of characters.
    local pattern=${1//\[/\\[}
    # shellcheck disable=SC2053
    [[ $answer == $pattern ]] || { echo "expected $1" >&2; exit 1; }
}

# Is the service there? No token is needed.
call 200 GET /healthz
answers '{}'

# Can it work: does its database take writes, and is it not being stopped?
call 200 GET /readyz
answers '{"ready":true,"why":[],"warnings":[]}'


## Tasks, one by one. These belong to no dataset that the service knows, so its scheduler leaves them alone.

# Names that no other run of this script has, and a priority higher than what earlier runs have left.
now=$(date +%s)
run=$now$$
dataset=bycurl$run
task() { echo '{"dataset_id":"'"$dataset"'","job_id":"job'"$run"'","job_index":0,"task_index":'"$1"',"name":"'"$2"'",
                "depends":['"${3:-}"'],"requirements":{"cpu":1,"memory":2.0},"priority":'"$now"'}'; }

# Create a task. The answer is its id; the status is waiting unless the body says another.
call 201 POST /tasks "$(task 0 generate)"
answers '{"result":"*"}'
first=$(sed 's/.*:"\(.*\)"}/\1/' <<< "$answer")

# A second one that depends on the first.
call 201 POST /tasks "$(task 1 filter "\"$first\"")"
second=$(sed 's/.*:"\(.*\)"}/\1/' <<< "$answer")

# A body that does not fit its schema is refused, with the reason.
call 400 POST /tasks '{"dataset_id":"d"}'
answers '{"code":400,"error":"missing key: job_id"}'

# Read a task.
call 200 GET "/tasks/$first"
answers '{*"status":"waiting"*}'

# A task that does not exist.
call 404 GET /tasks/nosuchtask
answers '{"code":404,"error":"Task not found"}'

# Merge fields into a task: a priority, and a key of one's own. The answer is the task after it.
call 200 PATCH "/tasks/$first" '{"priority":'$((now + 1))',"colour":"blue"}'
answers '{*"colour":"blue"*}'

# A page of all tasks: three fields, the best first.
call 200 GET '/tasks?status=waiting|queued&keys=task_id|name|priority&sort=priority=-1&limit=10'
answers '{"tasks":[{*"priority":'$((now + 1))'},*]}'

# Count the tasks of the service by status; all eight statuses are there.
call 200 GET /task_counts/status
answers '{"idle":*,"waiting":*,"queued":*,"processing":*,"reset":*,"suspended":*,"failed":*,"complete":*}'

# What the tasks need that wait to be run, for those who start pilots.
call 200 GET /task_demand
answers '{"demand":[{"requirements":{*},"waiting":*,"queued":*,"unmade":*}*]}'


## Queue, claim, report.

# Queue waiting tasks, the best first. The second depends on one that is not complete: it is passed over.
call 200 POST /task_actions/queue '{"num_tasks":1}'
answers '{"queued":1}'

# A pilot claims a task that fits what it offers. It makes the claim id itself; query_params narrows the choice.
claim_id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
claim='{"requirements":{"cpu":2,"memory":4,"site":"here"},"query_params":{"dataset_id":"'$dataset'"},
        "claim_id":"'$claim_id'","lease_seconds":60,"pilot":"curl"}'
call 200 POST /task_actions/process "$claim"
answers "{*\"task_id\":\"$first\"*}"

# The answer got lost? The same request gets the same task. `processing` is another name of this route.
call 200 POST /task_actions/processing "$claim"
answers "{*\"task_id\":\"$first\"*}"

# Nothing that fits is queued: 404, with the number of unfinished tasks that fit.
call 404 POST /task_actions/process '{"requirements":{"cpu":2},"query_params":{"dataset_id":"'"$dataset"'"}}'
answers '{"code":404,"error":"Task not found","left":*}'

# Say that it is being worked on, so that its lease begins anew. The answer says whether to go on.
call 200 POST "/tasks/$first/task_actions/heartbeat" '{"claim_id":"'"$claim_id"'","phase":"running",
    "progress":{"completed":1,"total":4},"resources":{"memory":1.5}}'
answers '{"action":"continue","why":"","again_in":*,"orders":[],"lease_seconds":*}'

# Give the task back unfinished. It is queued again, and this counts as an eviction, not as a failure.
call 200 POST "/tasks/$first/task_actions/hand_back" '{"claim_id":"'"$claim_id"'","reason":"the node is drained"}'
answers '{}'

# The claim is over: its heartbeats are refused, it gives nothing any more, and its id opens no other.
call 409 POST "/tasks/$first/task_actions/heartbeat" '{"claim_id":"'"$claim_id"'"}'
answers '{"code":409,*"action":"stop","why":"hand back by *: the node is drained"*}'
call 410 POST /task_actions/process "$claim"
answers '{"code":410,"error":"This claim is over"}'

# A batch: up to ten tasks in one answer, each with a claim id of its own. One request hands all of them back.
call 200 POST /task_actions/process '{"query_params":{"dataset_id":"'"$dataset"'"},"num_tasks":10,
    "claim_id":"00000000000000000000000000000010"}'
answers "{\"tasks\":[{*\"task_id\":\"$first\"*}*]}"
call 200 POST /task_actions/report '{"reports":[{"task_id":"'"$first"'","action":"hand_back",
    "claim_id":"00000000000000000000000000000010.0"}]}'
answers '{"results":[{"task_id":"'"$first"'","code":200}]}'

# Claim it again, with a new id.
claim_id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
call 200 POST /task_actions/process '{"query_params":{"dataset_id":"'"$dataset"'"},"claim_id":"'"$claim_id"'"}'
answers '{*"epoch":3*}'

# Send what its command prints, in Base64: the bytes, and where they begin. And how it ended on two nodes.
call 200 POST "/tasks/$first/task_actions/output" '{"claim_id":"'"$claim_id"'","epoch":3,
    "pieces":[{"stream":"stdout","offset":0,"data":"aGVsbG8K"}]}'
answers '{}'
call 200 POST "/tasks/$first/task_actions/nodes" '{"claim_id":"'"$claim_id"'","epoch":3,
    "results":[{"group":0,"part":0,"nodes":["n1","n2"],"exit_code":137,"timed_out":false,"stdout":"hello"}]}'
answers '{}'

# A report by another claim changes nothing.
call 409 POST "/tasks/$first/task_actions/complete" '{"claim_id":"00000000000000000000000000000000"}'
answers '{"code":409,"error":"The claim is not the task'"'"'s current claim"}'

# A try that failed: the task is reset, its failures count one more, and memory grows to 1.5 times what was used.
call 200 POST "/tasks/$first/task_actions/reset" \
    '{"claim_id":"'"$claim_id"'","time_used":60,"resources":{"memory":2.5},"reason":"out of memory","exit_code":137}'
answers '{}'
call 200 GET "/tasks/$first"
answers '{*"memory":3.75*"failures":1*}'

# What reports said, oldest first.
call 200 GET "/tasks/$first/messages"
answers '{"messages":[{*"the node is drained"*},{*"out of memory"*}]}'

# Anybody who works on a task says how far it is and what there is to know. The times of its messages strictly rise.
call 201 POST "/tasks/$first/messages" '{"mtype":"notification","text":"the disk is full again"}'
answers '{"result":"*"}'
call 201 POST "/tasks/$first/messages" '{"mtype":"error","text":"no calibration","name":"KeyError","stacktrace":""}'
answers '{"result":"*"}'
call 200 POST "/tasks/$first/progress" '{"completed":3,"total":12}'
answers '{"completed":3,"total":12}'
call 200 POST "/tasks/$first/progress" '{"add":1}'
answers '{"completed":4,"total":12}'
call 200 GET "/tasks/$first/messages?mtype=notification%7Cresult&after=2026-01-01"
answers '{"messages":[{*"the disk is full again"*}]}'

# What was said of all tasks of a dataset; `after` the time of the last one goes on behind it.
call 200 GET "/datasets/$dataset/messages?mtype=error&limit=100"
answers '{"messages":[*"no calibration"*]}'

# How it came to be where it is: its creation, then every change, oldest first; claim ids are for operators only.
call 200 GET "/tasks/$first/history"
answers '{*"status":"reset",*"failures":1,"evictions":2,"truncated":false,*"history":[{*"create"*},*"hand back"*"reset"*]}'
call 200 GET "/datasets/$dataset/tasks/$first/history"
answers '{*"history":[*]}'

# What its command printed, from the beginning or an offset on; and how it ended on nodes, if it was on any.
call 200 GET "/tasks/$first/output/stdout?offset=0&limit=1000"
answers '{*"next_offset":6,*"size":6,"ended":true,"data":"hello*"}'
call 200 GET "/datasets/$dataset/tasks/$first/output/stderr"
answers '{*"stream":"stderr",*}'
call 200 GET "/tasks/$first/nodes"
answers '{*"epoch":3,"groups":[{"nodes":["n1","n2"],"exit_code":137*}]}'
call 200 GET "/datasets/$dataset/tasks/$first/nodes?raw=true"
answers '{*"nodes":[{"node":"n1"*},{"node":"n2"*}]}'

# Set a status by hand.
call 200 PUT "/tasks/$first/status" '{"status":"processing"}'
answers '{}'

# End a task well. Pilots that know of no claim ids report like this.
call 200 POST "/tasks/$first/task_actions/complete" '{"time_used":3600,"site":"here"}'
answers '{}'

# A complete task cannot fail any more.
call 400 POST "/tasks/$first/task_actions/failed" '{"reason":"late"}'
answers '{"code":400,"error":"Task not found"}'

# End a task that will not do better at another try. `error` is another name of `reset`.
call 200 POST "/tasks/$second/task_actions/failed" '{"reason":"the input does not exist"}'
answers '{}'
call 200 POST "/tasks/$second/task_actions/error" '{"reason":"it does, by now"}'
answers '{}'

# Set the status of up to 100 000 tasks at once.
call 200 POST /task_actions/bulk_status/suspended '{"tasks":["'"$second"'"]}'
answers '{}'


## The tasks of a dataset.

# All of them, or those of a status, job or name; by id.
call 200 GET "/datasets/$dataset/tasks?status=complete|suspended&keys=name|status"
answers "{\"$first\":{*},\"$second\":{*}}"

# One of them.
call 200 GET "/datasets/$dataset/tasks/$first?keys=walltime"
answers '{*"walltime":1.0*}'

# Set the status of one, and of many; tasks of other datasets are passed over.
call 200 PUT "/datasets/$dataset/tasks/$second/status" '{"status":"waiting"}'
answers '{}'
call 200 POST "/datasets/$dataset/task_actions/bulk_status/suspended" '{"tasks":["'"$second"'"]}'
answers '{}'

# Set requirements of all tasks of a name, up or down.
call 200 PATCH "/datasets/$dataset/task_actions/bulk_requirements/filter" '{"memory":1.5,"os":["debian_12"]}'
answers '{}'

# Task ids by status.
call 200 GET "/datasets/$dataset/task_summaries/status"
answers "{\"suspended\":[\"$second\"],\"complete\":[\"$first\"]}"

# Numbers by status, and by name and status.
call 200 GET "/datasets/$dataset/task_counts/status"
answers '{"suspended":1,"complete":1}'
call 200 GET "/datasets/$dataset/task_counts/name_status"
answers '{"generate":{"complete":1},"filter":{"suspended":1}}'

# Wall times of complete tasks, in hours.
call 200 GET "/datasets/$dataset/task_stats"
answers '{"generate":{"count":1,*"avg_hrs":1.0,*}}'


## Files of tasks.

# Add a file to the task with this job_index and name.
call 201 POST "/datasets/$dataset/files" \
    '{"filename":"gsiftp://data.example/in.zst","movement":"input","job_index":0,"task_name":"generate"}'
answers "{\"result\":\"$first\"}"

# Add a file to a task by its id.
call 201 POST "/datasets/$dataset/files/$first" '{"filename":"out.txt","movement":"output","transfer":"maybe"}'
answers '{}'

# List those of the dataset, and those of a task.
call 200 GET "/datasets/$dataset/files"
answers '{"files":[{*"remote":"gsiftp://data.example/in.zst"*},{*"remote":"out.txt"*}]}'
call 200 GET "/datasets/$dataset/files/$first"
answers '{"files":[*]}'

# Remove all files of a task.
call 200 DELETE "/datasets/$dataset/files/$first"
answers '{}'


## Datasets, configs, jobs.

# Submit a dataset with a config. The scheduler makes its jobs and tasks, here two of each; they want a site that
# does not exist, so that nobody runs them.
config='{"version":1,"description":"by curl","tasks":[{"name":"greet","command":"echo hello",
         "requirements":{"site":"nowhere"}}]}'
submission='{"description":"by curl","jobs_submitted":2,"tasks_submitted":2,"tasks_per_job":1,"group":"users",
             "config":'"$config"'}'
KEY=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
call 201 POST /datasets "$submission"
answers '{"result":"/datasets/*"}'

# The answer got lost, and nobody knows whether there is a dataset now? With a key the same request can be repeated: the
# answer is the first one again, and no second dataset is made.
submitted=$answer
call 201 POST /datasets "$submission"
answers "$submitted"

# A key is that of one request, and it has visible ASCII characters only.
call 409 POST /datasets "${submission/by curl/by somebody else}"
answers '{"code":409,"error":"This Idempotency-Key was used for another request: repeat that one, or make a new key"}'
KEY='two words'
call 400 POST /datasets "$submission"
answers '{"code":400,"error":"Idempotency-Key must be 1 to 255 visible ASCII characters"}'
unset KEY
answer=$submitted
dataset=$(sed 's/.*\/\(.*\)"}/\1/' <<< "$answer")

# All datasets that the caller may read, and one of them.
call 200 GET '/datasets?status=processing&keys=description|status'
answers "{*\"$dataset\":{*}*}"
call 200 GET "/datasets/$dataset"
answers '{*"jobs_submitted":2*}'

# The config, read and replaced.
call 200 GET "/config/$dataset"
answers '{"version":1,*}'
call 200 PUT "/config/$dataset" "$config"
answers '{}'

# A config that cannot become tasks is refused, with the place.
call 400 PUT "/config/$dataset" '{"version":1,"description":"","tasks":[{"name":"greet","command":"echo ${JOB}"}]}'
answers '{"code":400,"error":"tasks[0].command: unknown name ${JOB}"}'

# Its jobs by status. The scheduler needs a moment to make them.
for _ in $(seq 60); do
    call 200 GET "/datasets/$dataset/job_counts/status"
    [ "$answer" != '{"processing":2}' ] || break
    sleep 0.5
done
answers '{"processing":2}'

# Which of its tasks come next, and the parts that each one's priority consists of.
for _ in $(seq 60); do
    call 200 GET "/task_order?dataset_id=$dataset&limit=1"
    [ "$answer" = '{"tasks":[]}' ] || break
    sleep 0.5
done
answers '{"tasks":[{*"priority":*"factors":{"wish":1.0,*"age":0.0,*}}]}'

# Its jobs, and one of them by two ways.
call 200 GET "/datasets/$dataset/jobs?job_index=1&keys=job_index|status"
answers '{"*":{*"job_index":1*}}'
job=$(sed 's/{"\([0-9a-f]*\)".*/\1/' <<< "$answer")
call 200 GET "/jobs/$job"
answers '{*"tasks_total":1*}'
call 200 GET "/datasets/$dataset/jobs/$job"
answers '{*"job_index":1*}'


## Actions on many tasks, on jobs, and on the whole dataset: suspend, resume, reset, rerun, hard_reset, cancel.

# First ask what would happen: how many would be changed, have nothing to do, and are refused, with examples.
call 200 POST "/datasets/$dataset/task_actions/suspend" '{"dry_run":true}'
answers '{"action":"suspend","dry_run":true,"changed":2,"unchanged":0,"refused":0,"stopping":0,"examples":{*}}'

# Suspend the tasks of one job; then those of a name that wait or are queued, wherever they are.
call 200 POST "/datasets/$dataset/task_actions/suspend" '{"jobs":["'"$job"'"],"reason":"too early"}'
answers '{*"changed":1,*}'
call 200 POST "/datasets/$dataset/task_actions/suspend" '{"names":["greet"],"statuses":["waiting","queued"]}'
answers '{*"changed":1,*}'

# No body means everything; so a misspelt or an empty selection is refused.
call 400 POST "/datasets/$dataset/task_actions/resume" '{"task":["x"]}'
answers '{"code":400,"error":"invalid keys found: task"}'
call 200 POST "/datasets/$dataset/task_actions/resume"
answers '{*"changed":2,*}'

# The same for jobs: their own status and their tasks.
call 200 POST "/datasets/$dataset/job_actions/suspend" '{"jobs":["'"$job"'"]}'
answers '{"action":"suspend","dry_run":false,"changed":1,*"tasks":{"changed":1,*}}'

# And for the whole dataset, which makes no new jobs while it is suspended.
call 200 POST "/datasets/$dataset/dataset_actions/suspend" '{"reason":"holidays"}'
answers '{*"dataset":{"result":"changed","status":"suspended"},"jobs":{*},"tasks":{"changed":1,*}}'
call 200 POST "/datasets/$dataset/dataset_actions/resume"
answers '{*"dataset":{"result":"changed","status":"processing"},*"tasks":{"changed":2,*}}'


## Logs, task stats, pilots and grids.

# A pilot enters itself, or the program that submitted it does.
call 201 POST /pilots '{"queue_host":"sub.example","queue_version":"2.6.1","resources":{"cpu":1,"memory":4.0}}'
answers '{"result":"*"}'
pilot=$(sed 's/.*:"\(.*\)"}/\1/' <<< "$answer")

# It says where it runs and what it works on. Each change is a sign of life.
call 200 PATCH "/pilots/$pilot" '{"site":"here","host":"node7","tasks":["'"$first"'"]}'
answers '{*"site":"here"*}'
call 200 PUT "/pilots/$pilot/drain" '{"drain":true,"reason":"new disks"}'
answers '{*"drain":{"who":*,"why":"new disks","when":*}*}'
call 400 PATCH "/pilots/$pilot" '{"pilot_id":"other"}'
answers '{"code":400,"error":"key pilot_id cannot be changed"}'

# Read it, and list those of a host.
call 200 GET "/pilots/$pilot"
answers '{*"start_date":""*}'
call 200 GET '/pilots?queue_host=sub.example&host=node7&keys=site'
answers "{*\"$pilot\":{*\"site\":\"here\"*}*}"

# After a try it sends what it measured, under whatever keys.
call 201 POST "/tasks/$first/task_stats" '{"dataset_id":"'"$dataset"'","time_used":3600,"task_stats":{"io.read":7}}'
answers '{"result":"*"}'
stat=$(sed 's/.*:"\(.*\)"}/\1/' <<< "$answer")
call 400 POST "/tasks/$first/task_stats" '{"time_used":3600}'
answers '{"code":400,"error":"Missing dataset_id in body"}'

# Read it, list those of the task, and stream those of the dataset, a document a line.
call 200 GET "/datasets/$dataset/tasks/$first/task_stats/$stat"
answers '{*"io.read":7*}'
call 200 GET "/datasets/$dataset/tasks/$first/task_stats?last=true&keys=task_id"
answers "{\"$stat\":{*\"task_id\":\"$first\"*}}"
call 200 GET "/datasets/$dataset/bulk/task_stats?after=2024-01-01&keys=task_stat_id"
answers "{\"task_stat_id\":\"$stat\"}"$'\n'

# It sends its log; the owner of the dataset may add one.
call 201 POST /logs '{"name":"stdlog","task_id":"'"$first"'","dataset_id":"'"$dataset"'","data":"it began\nit ended"}'
answers '{"result":"*"}'
log=$(sed 's/.*:"\(.*\)"}/\1/' <<< "$answer")
call 201 POST "/datasets/$dataset/logs" '{"name":"note","task_id":"'"$first"'","data":"looks good"}'

# Read a log by two ways, and list them: those of the service by time and name, those of the task by name.
call 200 GET "/logs/$log"
answers '{*"data":"it began*it ended"*}'
call 200 GET "/datasets/$dataset/logs/$log"
answers '{*"name":"stdlog"*}'
call 200 GET "/logs?from=2024-01-01&name=stdlog&dataset_id=$dataset&keys=name&limit=10"
answers "{\"$log\":{*\"name\":\"stdlog\"*}}"
call 200 GET "/datasets/$dataset/tasks/$first/logs?group=true&order=asc&keys=name"
answers '{"logs":[{"name":"stdlog"},{"name":"note"}]}'

# Remove one, and those of the task. A task without logs is 404.
call 200 DELETE "/logs/$log"
answers '{}'
call 200 DELETE "/datasets/$dataset/tasks/$first/logs"
answers '{}'
call 404 GET "/datasets/$dataset/tasks/$first/logs"
answers '{"code":404,"error":"Log not found"}'

# The pilot leaves.
call 200 DELETE "/pilots/$pilot"
answers '{}'

# The program that submits pilots enters itself too.
call 201 POST /grids '{"host":"sub.example","queues":{"condor":"HTCondor"},"version":"2.6.1"}'
answers '{"result":"*"}'
grid=$(sed 's/.*:"\(.*\)"}/\1/' <<< "$answer")
call 200 PATCH "/grids/$grid" '{"debug":true}'
answers '{*"debug":true*}'
call 200 GET "/grids/$grid"
answers '{*"host":"sub.example"*}'
call 200 GET /grids
answers "{*\"$grid\":{*}*}"


## Datasets as they change, and jobs that a client makes for itself.

# A dataset without a config of ours: its client makes the jobs and tasks.
call 201 POST /datasets \
    '{"description":"by hand","jobs_submitted":1,"tasks_submitted":2,"tasks_per_job":2,"group":"simprod","priority":0.25}'
dataset=$(sed 's/.*\/\(.*\)"}/\1/' <<< "$answer")

# A config of another system is kept as it is, and no tasks are made from it.
call 200 PUT "/config/$dataset" '{"version":3.1,"tasks":[{"trays":[]}]}'
answers '{}'
call 200 GET "/config/$dataset"
answers '{"version":3.1,"tasks":[{"trays":[]}]}'

# What it is, how urgent it is, its own status. The status of jobs and tasks stays.
call 200 PUT "/datasets/$dataset/description" '{"description":"by hand, and changed"}'
answers '{}'
call 200 PUT "/datasets/$dataset/priority" '{"priority":0.75}'
answers '{}'
call 200 PUT "/datasets/$dataset/status" '{"status":"suspended"}'
answers '{}'

# A dataset may grow, and never shrinks.
call 200 PUT "/datasets/$dataset/jobs_submitted" '{"jobs_submitted":2}'
answers '{}'
call 400 PUT "/datasets/$dataset/jobs_submitted" '{"jobs_submitted":1}'
answers '{"code":400,"error":"jobs_submitted must be larger than before"}'
call 200 GET "/datasets/$dataset"
answers '{*"priority":0.75,*"status":"suspended",*"description":"by hand, and changed","jobs_submitted":2,*}'

# Lists of groups and users too; and the ids of all datasets by status.
call 200 GET '/datasets?status=suspended&groups=simprod|filtering&keys=jobs_submitted|tasks_submitted'
answers "{*\"$dataset\":{*\"jobs_submitted\":2,\"tasks_submitted\":4*}*}"
call 200 GET /dataset_summaries/status
answers "{*\"suspended\":[*\"$dataset\"*]*}"

# Make a job. A dataset has one for each job_index.
call 201 POST /jobs '{"dataset_id":"'"$dataset"'","job_index":0}'
answers '{"result":"*"}'
job=$(sed 's/.*:"\(.*\)"}/\1/' <<< "$answer")
call 409 POST /jobs '{"dataset_id":"'"$dataset"'","job_index":0}'
answers '{"code":409,"error":"there is a job with this job_id or job_index already"}'

# Keep something with it; what identifies it stays.
call 200 PATCH "/jobs/$job" '{"comment":"the first one"}'
answers '{*"comment":"the first one"*}'
call 400 PATCH "/jobs/$job" '{"job_index":5}'
answers '{"code":400,"error":"key job_index cannot be changed"}'

# Set the status of one job, and of up to 100 000 at once. Their tasks stay as they are.
call 200 PUT "/datasets/$dataset/jobs/$job/status" '{"status":"errors"}'
answers '{}'
call 200 POST "/datasets/$dataset/job_actions/bulk_status/suspended" '{"jobs":["'"$job"'"]}'
answers '{}'
call 200 GET "/datasets/$dataset/job_summaries/status"
answers "{\"suspended\":[\"$job\"]}"


## Users and groups.

# The roles that a token can have.
call 200 GET /roles
answers '{"results":["admin","system","user","pilot"]}'

# A user is known from the first dataset on, or since somebody says so.
call 200 PUT "/users/ada$run"
answers '{}'
call 409 PUT "/users/ada$run"
answers '{"code":409,"error":"duplicate username"}'

# How much the user counts beside others, from 0 to 1.
call 200 PUT "/users/ada$run/priority" '{"priority":0.75}'
answers '{}'
call 200 GET "/users/ada$run"
answers '{"username":"ada*","priority":0.75}'
call 200 GET /users
answers "{\"results\":[*{\"username\":\"ada$run\",\"priority\":0.75}*]}"

# Forget the user again.
call 200 DELETE "/users/ada$run"
answers '{}'

# The same for groups.
call 200 PUT /groups/filtering/priority '{"priority":0.9}'
answers '{}'
call 200 GET /groups
answers '{"results":[*{"name":"filtering","priority":0.9}*]}'

# May somebody write this dataset? For programs that have checked who it is.
call 200 POST /auths \
    '{"name":"dataset_id","value":"'"$dataset"'","role":"write","username":"ada","groups":["simprod"]}'
answers '{}'
call 403 POST /auths \
    '{"name":"dataset_id","value":"'"$dataset"'","role":"write","username":"ada","groups":["users"]}'
answers '{"code":403,"error":"authorization failed"}'


## The end of a dataset.

# One that is to be deleted ten days after it has ended, with an archive first.
call 201 POST /datasets \
    '{"description":"soon gone","jobs_submitted":2,"tasks_submitted":2,"tasks_per_job":1,"group":"users",
      "retention_days":10,"archive":true}'
doomed=$(sed 's/.*\/\(.*\)"}/\1/' <<< "$answer")

# It is to be kept for longer after all, and needs no archive.
call 200 PUT "/datasets/$doomed/retention" '{"days":30.5,"archive":false}'
answers '{}'

# All that is kept of it: lines of JSON, compressed. The last one says how many there are.
archive=$(mktemp)
FILE=$archive call 200 GET "/datasets/$doomed/archive"
answer=$(gunzip -c "$archive" | tail -n 1)
rm "$archive"
answers '{"end":true,"counts":{"dataset":1,"config":0,"access":1,"job":0,"task":0,*}}'

# Delete it, although tasks may run, and all that belongs to it. The answer is what was removed.
call 200 DELETE "/datasets/$doomed?force=true&archive=false"
answers '{"deleted":{"tasks":0,"jobs":0,"files":0,"messages":0,"logs":0,"task_stats":0,*},"archive":null}'

# It is gone.
call 404 DELETE "/datasets/$doomed"
answers '{"code":404,"error":"Dataset not found"}'


## Tokens for a short time.

# A token that can do less than this one, and ends in a minute. An account's name and password (curl --user) do as well.
call 201 POST /tokens '{"roles":["admin"],"lifetime_seconds":60}'
answers '{"token":"*","roles":["admin"],"expires":"*"}'
short=$(sed 's/.*"token":"\([^"]*\)".*/\1/' <<< "$answer")

# Nobody is to believe a token any more, here the one whose id is this. One that is made by another has the same id.
call 200 POST /revocations '{"token_id":"'"lost$run"'","expires":"2099-12-31"}'
answers '{"token_id":"lost*","by":"*","revoked":"*","expires":"2099-12-31T00:00:00.000000"}'

# All that was revoked.
ICEPROD_TASKS_TOKEN=$short call 200 GET /revocations
answers '{"results":[*"token_id":"lost*]}'


## The leader.

# Which service leads, in which term, and is it this one?
call 200 GET /leader
answers '{"leader":"http*","term":*,"until":"*","is_leader":*}'


## The dialect of vp-describe-task: requests are forms, and failures have status 200.

# What does this task do? It is found by its id, and by the name that the answer shows.
FORM=1 call 200 POST /vappio/task_ws.py 'request={"cluster":"local","task_name":"'"$first"'"}'
answers '{"success":true,"data":[{"name":"generate-*","tType":"generate","state":"*","completedTasks":*,"messages":[*]}]}'

# All tasks of a dataset, here of one that has none. The request can stand in the query, too.
call 200 GET '/vappio/task_ws.py?request=%7B%22cluster%22%3A%22local%22%2C%22dataset_id%22%3A%22none%22%7D'
answers '{"success":true,"data":[]}'

# Nobody knows such a cluster.
FORM=1 call 200 POST /vappio/task_ws.py 'request={"cluster":"atlantis"}'
answers '{"success":false,"data":{"msg":"Unknown cluster: atlantis","name":"*","stacktrace":""}}'


## The dialect of Drove. By a token here; names and passwords of accounts do, too. None of it answers but by the leader.

# Does this service lead?
call 200 GET /apis/v1/ping
answers '{"status":"SUCCESS","data":"pong","message":"success"}'

# What the cluster has: pilots are its executors.
call 200 GET /apis/v1/cluster
answers '{"status":"SUCCESS","data":{"leader":"http*","state":"NORMAL",*"totalMemory":*},"message":"success"}'

# A task: what it runs, and what it needs.
spec='{"sourceAppName":"curl","taskId":"'"t$run"'","executable":{"type":"SHELL","url":"/bin/true"},
       "resources":[{"type":"CPU","count":1},{"type":"MEMORY","sizeInMB":64}],"retries":0}'
op='{"timeout":"5m","parallelism":1,"failureStrategy":"STOP"}'

# Is the specification good? And is there an executor for it?
call 200 POST /apis/v1/tasks/validate/spec "$spec"
answers '{"status":"SUCCESS","message":"success"}'
call 200 POST '/apis/v1/cluster/placement/simulate?detail=true' '{"spec":'"$spec"',"numInstances":2}'
answers '{"status":"SUCCESS","data":{"requested":2,"placed":*,"errors":[*],"placements":[*]},"message":"success"}'

# Create it. With the same key, a repeat is no second operation.
KEY=create$run call 200 POST /apis/v1/tasks/operations '{"type":"CREATE","spec":'"$spec"',"opSpec":'"$op"'}'
answers '{"status":"SUCCESS","data":{"taskId":"curl-t'$run'"},"message":"success"}'

# There is one of this name now.
call 400 POST /apis/v1/tasks/operations '{"type":"CREATE","spec":'"$spec"',"opSpec":'"$op"'}'
answers '{"status":"FAILED","data":{"validationErrors":["Task already exists for curl/*"]},"message":"Command validation failure"}'

# What is on its way, and what is known of this one.
call 200 GET '/apis/v1/tasks?app=curl&state=PENDING'
answers '{"status":"SUCCESS","data":[{"sourceAppName":"curl",*"state":"PENDING",*}],"message":"success"}'
call 200 GET "/apis/v1/tasks/curl/instances/t$run"
answers '{"status":"SUCCESS","data":{"sourceAppName":"curl",*"states":[{"state":"PENDING","time":*}]},"message":"success"}'

# It is not forgotten before its end. Kill it: no pilot has it, so it ends at once.
call 400 DELETE "/apis/v1/tasks/curl/instances/t$run"
answers '{*"validationErrors":["Task curl/* has not ended: kill it first"]*}'
call 200 POST /apis/v1/tasks/operations '{"type":"KILL","sourceAppName":"curl","taskId":"'"t$run"'","opSpec":'"$op"',"reason":"shown"}'
answers '{"status":"SUCCESS","data":{"taskId":"t'$run'"},"message":"success"}'

# What was done with it, the newest first.
call 200 GET "/apis/v1/tasks/curl/instances/t$run/operations"
answers '{*"data":[{*"type":"KILL",*"outcome":"DONE"},{*"type":"CREATE",*"outcome":"SUPERSEDED"}]*}'

# What it has printed: it never ran.
call 200 GET "/apis/v1/logfiles/tasks/curl/t$run/list"
answers '{"files":[]}'
call 200 GET "/apis/v1/logfiles/tasks/curl/t$run/read/output.log?offset=0&length=100"
answers '{"data":"","offset":0}'
call 200 GET "/apis/v1/logfiles/tasks/curl/t$run/download/output.log"

# What has happened in the cluster.
call 200 GET '/apis/v1/cluster/events?size=1&lastSyncTime=0'
answers '{"status":"SUCCESS","data":[{"type":"TASK_STATE_CHANGE",*}],"message":"success"}'
call 200 GET '/apis/v1/cluster/events/latest?lastSyncTime=0'
answers '{*"data":{"events":[*],"lastSyncTime":*}*}'
call 200 GET '/apis/v1/cluster/events/summary'
answers '{*"data":{"eventsCount":{"TASK_STATE_CHANGE":*},"lastSyncTime":*}*}'

# Executors: all, one that is not there, and keeping tasks from some.
call 200 GET /apis/v1/cluster/executors
call 200 GET /apis/v1/cluster/executors/nobody
answers '{"status":"FAILED","message":"No such executor nobody"}'
call 200 POST '/apis/v1/cluster/executors/blacklist?id=nobody'
answers '{*"data":{"successful":[],"failed":["nobody"],*}*}'
call 200 POST '/apis/v1/cluster/executors/unblacklist?id=nobody'
answers '{*"data":{"successful":[],"failed":["nobody"],*}*}'

# No applications are served here.
call 200 GET /apis/v1/endpoints
answers '{"status":"SUCCESS","data":[],"message":"success"}'

# Maintenance, in which operations are refused.
call 200 POST /apis/v1/cluster/maintenance/set '{}'
answers '{*"data":{"state":"MAINTENANCE","updated":*}*}'
call 200 POST /apis/v1/cluster/maintenance/unset '{}'
answers '{*"data":{"state":"NORMAL","updated":*}*}'

# From a form of a page to a task; and forget it.
FORM=1 call 303 POST /apis/v1/tasks/search "taskSearchAppName=curl"
call 200 DELETE "/apis/v1/tasks/curl/instances/t$run"
answers '{"status":"SUCCESS","data":{"deleted":true},"message":"success"}'


## What every route answers when something is wrong.

# No route of this name, here or anywhere.
call 404 GET /nosuchroute
answers '{"code":404,"error":"Not found"}'

# A method that the route does not have.
call 405 DELETE /tasks
answers '{"code":405,"error":"Method Not Allowed"}'

# A body that is no JSON.
call 400 PATCH "/tasks/$first" '{oops'
answers '{"code":400,"error":"the body is not valid JSON"}'

# No valid token.
ICEPROD_TASKS_TOKEN=none call 401 GET "/tasks/$first"
answers '{"code":401,"error":"authentication failed"}'

echo 'all answers are as written'
