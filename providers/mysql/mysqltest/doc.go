// Package mysqltest runs a real MariaDB server, or a MySQL server where a binary of one is named, for tests and scripts,
// with data of its own that it removes.
//
// It is no part of the broker. The server is not durable and logs every statement, so that tests can look for what must
// not be there.
package mysqltest
