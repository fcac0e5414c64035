package postgres

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"

	"broker/providers"
)

// scramVerifier returns what PostgreSQL stores instead of a password. With it in the statement, the
// password itself reaches neither SQL nor any log of the server. The password must be ASCII, as ours
// are: others would have to be normalised first.
func scramVerifier(random io.Reader, password providers.Secret, iterations int) (string, error) {
	var salt [16]byte
	if _, err := io.ReadFull(random, salt[:]); err != nil {
		return "", fmt.Errorf("reading random bits for a salt: %w", err)
	}
	salted, err := saltedPassword(password.Reveal(), salt[:], iterations)
	if err != nil {
		return "", fmt.Errorf("deriving the verifier of a password: %w", err)
	}
	storedKey := sha256.Sum256(sign(salted, "Client Key"))
	serverKey := sign(salted, "Server Key")
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt[:]), b64(storedKey[:]), b64(serverKey)), nil
}

func sign(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

// iterations is how often the verifier's hash is repeated, which makes guessing short passwords dear. Ours
// cannot be guessed, so that the number is the secret's to choose. The server spends as many at CREATE ROLE,
// where it makes sure that the password is not empty.
func iterations(options providers.Options) int {
	if options[optionSCRAMIterations] == nil {
		return defaultSCRAMIterations
	}
	return int(max(options.Integer(optionSCRAMIterations), 1))
}
