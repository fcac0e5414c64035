// Package faultproxy stands between hosts and does to what they say what bad networks do: cut one direction or both,
// delay, lose. It is for tests, needs no rights, and works where the kernel offers neither packet filters nor
// emulated links.
//
// A [Way] is one direction between two hosts, shared by all connections that run along it. TCP hides losses from
// those who use it, so along a way that is cut what was sent is held and arrives when the way heals, and what is lost
// is late by the time of a retransmission. Datagrams are dropped.
//
// One difference from a real network remains: the proxy takes a connection at once, also along a way that is cut;
// it is the first answer that stays out.
package faultproxy
