// Package redis makes logins at a Redis or Valkey server: users of its access control lists (ACL), with the rules that
// the secret names.
//
// It owns the commands and their order. It refuses to touch a user whose name does not begin with the cluster's prefix,
// to send a password in clear, and to give administrative commands to a leased user unless the secret's option for that
// does.
//
// Two rules one could break it with: ACL SETUSER makes whoever it does not find, so it is only ever sent for a leased
// user inside the transaction that [backend.Create] guards, and never to change or stop one; and nothing is answered
// as made or removed before the server has saved it, since a restart brings back what was saved last.
package redis
