package audit

import (
	"encoding/hex"

	"broker/access"
)

// hashPurpose keeps the hashes of audit logs apart from other keyed hashes.
const hashPurpose = "audit"

// hashMark is what hashes in records begin with.
const hashMark = "hmac-sha256:"

// Hash returns what an audit log says instead of a value: the same on every node, and nothing that the value could be
// found by without the keyring.
func Hash(h access.Hasher, value string) (string, error) {
	sum, err := h.Hash(hashPurpose, value)
	if err != nil {
		return "", err
	}
	return hashMark + hex.EncodeToString(sum), nil
}
