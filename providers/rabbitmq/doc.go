// Package rabbitmq makes logins at a RabbitMQ cluster through its management HTTP API: users with tags, and with
// permissions in virtual hosts and on topic exchanges.
//
// It owns the requests and their order. It refuses to touch a user whose name does not begin with the cluster's prefix,
// to send a leased password in clear, and to make an administrator unless the secret's option for that says so.
//
// Two rules one could break it with: PUT of a user replaces whoever has that name, so it is sent once, after a look that
// found nobody and before the permissions, which need the user to be there; and a user that is gone has been revoked only
// when its connections are gone too.
package rabbitmq
