package awssts

// Hasty returns a provider that waits for nothing before it replaces a key that a rotation lost.
func Hasty() Provider { return Provider{hasty: true} }
