// Package mysql makes logins at MySQL and MariaDB servers: accounts with the roles or privileges that the secret names.
//
// It owns the statements and their order. It refuses to touch an account whose name does not begin with the cluster's
// prefix, and to look for logins at a replica or at another server than the one that is meant.
//
// Two rules one could break it with: whatever changes the accounts of a name that may still be in the making holds that
// name's lock at the server, since every statement about accounts commits by itself and only the lock tells that none
// is still to come; and an account is locked before its sessions are looked for, since DROP USER ends none.
package mysql
