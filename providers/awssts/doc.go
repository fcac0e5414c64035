// Package awssts is the provider "aws-sts": temporary credentials of a role, each for one lease.
//
// AWS cannot end one such session. Two rules one could break the provider with: every session carries the end of its
// lease as a denial in its own policy, since AWS makes none shorter than 15 minutes; and no session is called revoked
// while it could still be used.
package awssts
