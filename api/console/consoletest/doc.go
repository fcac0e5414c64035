// Package consoletest tests the console as people use it: in a browser, against three nodes and a PostgreSQL that are real.
// Cluster, database and browser are started once for a package of tests, when the first test asks for them; each test has
// browsers of its own, which share nothing. What the browser complains of (an exception, a violation of the policy, a request that
// fails) fails the test by itself.
package consoletest
