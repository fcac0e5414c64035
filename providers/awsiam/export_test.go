package awsiam

import "time"

// Hasty returns a provider that waits for a short time only until it asks again for a user that does not exist, and
// for nothing before it replaces a key that a rotation lost.
func Hasty(settle time.Duration) Provider { return Provider{settle: settle, hasty: true} }
