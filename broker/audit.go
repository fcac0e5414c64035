package broker

import (
	"context"
	"time"

	"broker/fsm"
	"broker/providers"
)

// CallRecorder keeps which calls of outside systems were made. It is told of each when it has ended, with the context of
// the request that it serves, by many goroutines. It never blocks: ends of leases do not wait for it.
type CallRecorder interface {
	Called(context.Context, CallRecord)
}

// CallRecord tells of a call of an outside system. It holds no value.
type CallRecord struct {
	Connection fsm.ConnectionName
	Provider   string
	Call       Call
	Usernames  []providers.LoginName // of the logins that it was about, the first of them if there are many
	Logins     int                   // how many it was about
	Term       uint64                // of the leadership period that made it
	Outcome    Outcome               // of several logins the worst
	Took       time.Duration
}

// maxRecordedLogins is how many logins of one call are named. The history of each lease has them all.
const maxRecordedLogins = 50

func loginNames(logins []providers.Login) []providers.LoginName {
	names := make([]providers.LoginName, 0, min(len(logins), maxRecordedLogins))
	for _, one := range logins[:cap(names)] {
		names = append(names, one.Name)
	}
	return names
}

// AnchorAudit remembers how far a node's audit log had come. A *fsm.Refusal with fsm.CodeAuditRewritten: the log
// contradicts what was remembered before.
func (b *Broker) AnchorAudit(ctx context.Context, req Request, body fsm.AnchorAudit) (fsm.AuditAnchor, error) {
	return change[fsm.AuditAnchor](ctx, b, req, nil, &body)
}
