// Command devmysql runs a server that speaks MySQL's protocol and language, inside itself, for trying the broker out on a
// machine that has no database and cannot install one. It has a database "orders", a role "readonly" and a root account
// "broker" prepared as the page of the provider mysql says. Nothing of it outlives the process.
//
//	devmysql up --dir DIR [--port N]    start it and write DIR/env with shell exports
//	devmysql down --dir DIR             stop it
//	devmysql query SQL                  run a statement as the account in MYSQL_USER and print what it answers
//
// The server is github.com/dolthub/go-mysql-server, which needs much and is therefore no part of the broker's module.
package main
