// Package postgres makes logins at PostgreSQL servers: roles that may log in, members of the group
// roles that the secret names.
//
// It owns the statements and their order. It refuses to touch a role whose name does not begin with
// the cluster's prefix, to send a password in clear, and to drop what a leased user made.
//
// Two rules one could break it with: stopping log-ins is committed before anything else of a revoke,
// since a log-in under way beside an uncommitted DROP succeeds; and statements of several logins go
// in the order of their names, since opposite orders deadlock.
package postgres
