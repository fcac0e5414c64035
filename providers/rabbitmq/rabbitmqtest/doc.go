// Package rabbitmqtest runs a real RabbitMQ server for tests and scripts, from the binaries that the machine has, with a
// port mapper (epmd) and data of its own that it removes.
//
// It is no part of the broker. The server has an administrator besides the root account that Prepare makes, so that a
// test can act behind the broker's back.
package rabbitmqtest
