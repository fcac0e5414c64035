// Package ldap makes logins at LDAP directories: entries below one base that may bind with a password, members of the
// groups that the secret names.
//
// It owns the operations and their order. It refuses to touch an entry whose name does not begin with the cluster's
// prefix, to put a password into an entry other than by the directory's own operation (RFC 3062), and to remove what a
// leased user made below its entry.
//
// Two rules one could break it with: the password is set last, and only when the directory's clock, read from the
// entry just made, is known to be before the deadline; and "no such object" counts as absence only as the answer to a
// write that names the base as the part that exists, since replicas answer reads and an account without rights is
// told that nothing exists.
package ldap
