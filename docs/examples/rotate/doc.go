// Package rotate shows how a program uses pools of database connections whose credentials change while it runs, without a
// query that fails. It is meant to be copied; the tests of the whole product run it.
//
// What is the same for every database: new connections log in by what is held now, and a connection by what was held
// before is not used again once it is free. What is still being done on it has the overlap to come to its end.
package rotate
