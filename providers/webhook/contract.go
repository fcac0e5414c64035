package webhook

import (
	"encoding/json"
	"time"
)

// The operations: each is a POST to the connection's url with this appended as the last part of its path.
const (
	operationCheck         = "check"
	operationCreate        = "create"
	operationRenew         = "renew"
	operationRevoke        = "revoke"
	operationConfirmAbsent = "confirm_absent"
	operationList          = "list"
	operationLogIn         = "log_in"
)

// The headers that sign a request.
const (
	HeaderTimestamp = "Broker-Timestamp"
	HeaderSignature = "Broker-Signature"
)

// Call is what every request begins with.
type Call struct {
	RequestID string `json:"request_id" doc:"The operation and the login's name, create/brk_ab12_x, the same each time the request is repeated. The answer repeats it."`
	Cluster   string `json:"cluster" doc:"Full id of the broker's cluster, to be kept with each login."`
	System    string `json:"system,omitempty" doc:"The system that the broker means, as check named it. A service that is another one answers 421 and does nothing."`
}

// Reply is what every answer of success begins with.
type Reply struct {
	RequestID string `json:"request_id" doc:"That of the request."`
	System    string `json:"system" doc:"Identity of the system that logins are made at: the same for ever and wherever the service moves, and no other system's."`
}

// Login names a login and says what the secret's author asks for.
type Login struct {
	Name      string          `json:"name" doc:"Name of the login. It is never used for another one."`
	ExpiresAt time.Time       `json:"expires_at" doc:"End of its lease, if it is not renewed. The broker revokes then; a service may itself end logins some minutes later."`
	Options   json.RawMessage `json:"options,omitempty" doc:"The secret's options, as its author wrote them."`
}

// CheckRequest asks whether the service is ready, and with options whether a login could be made with them.
type CheckRequest struct {
	Call
	Options json.RawMessage `json:"options,omitempty" doc:"Options of a secret that is being saved."`
}

// CheckReply says that the service is ready.
type CheckReply struct {
	Reply
	Problems []string `json:"problems,omitempty" doc:"What is wrong with the options, in sentences for their author."`
}

// CreateRequest orders a login.
type CreateRequest struct {
	Call
	Login    Login     `json:"login"`
	Lease    string    `json:"lease" doc:"Id of the lease, to be kept with the login."`
	For      Subject   `json:"for"`
	Deadline time.Time `json:"deadline" doc:"The login is made before this instant, by the service's clock, or not at all."`
}

// Subject says what and whom a login is for.
type Subject struct {
	App     string `json:"app" doc:"Application of the environment that the secret is in."`
	Env     string `json:"env" doc:"The rest of that environment's name: production."`
	Secret  string `json:"secret" doc:"Name of the secret."`
	Account string `json:"account" doc:"Who asked for the lease."`
}

// CreateReply carries the credential.
type CreateReply struct {
	Reply
	Values map[string]string `json:"values" doc:"What the client needs: password and url become outputs of these names, and all of it the output values."`
}

// LoginRequest is about one login: renew, revoke.
type LoginRequest struct {
	Call
	Login Login `json:"login"`
}

// ConfirmRequest asks for a proof that a login does not exist and cannot come into being any more.
type ConfirmRequest struct {
	Call
	Login     Login     `json:"login"`
	NotBefore time.Time `json:"not_before" doc:"The deadline of the create that is in doubt. Before it has passed by the service's clock the answer is 425."`
}

// ListRequest asks for logins by the beginning of their names.
type ListRequest struct {
	Call
	Prefix string `json:"prefix" doc:"What the names begin with."`
	Cursor string `json:"cursor,omitempty" doc:"The next_cursor of the page before."`
}

// ListReply is one page.
type ListReply struct {
	Reply
	Logins     []ListedLogin `json:"logins"`
	NextCursor string        `json:"next_cursor,omitempty" doc:"Given when there are more."`
}

// ListedLogin is a login that exists.
type ListedLogin struct {
	Name    string `json:"name"`
	Cluster string `json:"cluster" doc:"The cluster that it was made for. The broker removes what no lease knows only when this is its own."`
}

// LogInRequest asks to log in with a login's values and out again. A service that cannot answers 501.
type LogInRequest struct {
	Call
	Values map[string]string `json:"values" doc:"Those of the create, and username."`
}

// Failure is the answer of every status that is not success.
type Failure struct {
	Message string `json:"message" doc:"What is wrong and what would be right, in a sentence for people, without secret values."`
}
