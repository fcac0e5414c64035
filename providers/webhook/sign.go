package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"broker/providers"
)

// signatureVersion is what signatures of this form begin with.
const signatureVersion = "v1="

// sign returns the signature of a request: HMAC-SHA-256, by the shared secret, of its time stamp in seconds, its method,
// the path of its URL and its body, with a line break after each but the last.
func sign(secret providers.Secret, timestamp, method, path string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	for _, part := range []string{timestamp, method, path} {
		mac.Write([]byte(part + "\n"))
	}
	mac.Write(body)
	return signatureVersion + hex.EncodeToString(mac.Sum(nil))
}
