package types

import "time"

// AuditAnchor is a place of a node's audit log that the cluster remembers.
type AuditAnchor struct {
	Node  string    `json:"node" doc:"Whose audit log it is"`
	Chain string    `json:"chain" doc:"Names the log: a node that lost its files begins another one"`
	Seq   uint64    `json:"seq" doc:"Number of the record"`
	Head  string    `json:"head" doc:"SHA-256 of the record's line, in hexadecimal"`
	At    time.Time `json:"at" doc:"When it was remembered"`
}

// AuditHashSpec asks for what audit logs say instead of a value.
type AuditHashSpec struct {
	Value string `json:"value" minLength:"1" maxLength:"65536" doc:"Is hashed with the cluster's key, and kept nowhere"`
}

// AuditHash is what audit logs say instead of a value.
type AuditHash struct {
	Hash string `json:"hash" doc:"The same on every node, and useless without the cluster's key"`
}
