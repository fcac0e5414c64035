// Package front is what stands between strangers and the API: how many connections may be open, how often one may
// ask, and whose word about a client's address is believed.
//
// It owns the counting and nothing else: it knows no routes, no accounts and no problems, and decides nothing by
// what a request says. Two rules one could break it with: everything that it keeps for a stranger is bounded in
// number, and an address is taken from a header only when the connection itself came from a trusted proxy.
package front
