package types

import (
	"strconv"
	"time"
)

// Event is one entry of history.
type Event struct {
	Index     uint64            `json:"index" doc:"Of the log entry that made it"`
	Ordinal   uint32            `json:"ordinal" doc:"Among the events of that entry"`
	At        time.Time         `json:"at"`
	Type      string            `json:"type" example:"lease.issued"`
	LeaseID   string            `json:"lease_id,omitempty"`
	Subject   string            `json:"subject,omitempty" doc:"The name of what changed: a secret, a connection…"`
	Actor     string            `json:"actor,omitempty" doc:"The account; absent when the broker acted by itself"`
	Token     string            `json:"token,omitempty" doc:"Accessor of the token that was used"`
	Node      string            `json:"node,omitempty" doc:"The node that took the request"`
	Address   string            `json:"address,omitempty" doc:"The client's address"`
	UserAgent string            `json:"user_agent,omitempty"`
	Details   map[string]string `json:"details,omitempty"`
}

// Position names the place behind the event: a list or stream asked for what comes after it goes on there.
func (e Event) Position() string {
	return strconv.FormatUint(e.Index, 10) + "." + strconv.FormatUint(uint64(e.Ordinal), 10)
}

// EventEnd is the type of a stream's last message when the node ends it; its data is a [Problem]. Types of
// events have a dot.
const EventEnd = "end"
