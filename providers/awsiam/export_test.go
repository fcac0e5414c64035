package awsiam

import "time"

// Hasty returns a provider that waits for a short time only until it asks again for a user that does not exist.
func Hasty(settle time.Duration) Provider { return Provider{settle: settle} }
