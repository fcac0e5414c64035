package vault

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"time"

	"broker/api/types"
)

// contentType is that of every answer, without parameters: some clients compare it.
const contentType = "application/json"

// answer is what every answer about leases, tokens and settings looks like. No member is ever left out: clients in
// languages without a null stumble over one where a boolean or a number is expected.
type answer struct {
	RequestID     string   `json:"request_id"`
	LeaseID       string   `json:"lease_id"`
	Renewable     bool     `json:"renewable"`
	LeaseDuration int64    `json:"lease_duration"` // seconds
	Data          any      `json:"data"`
	WrapInfo      any      `json:"wrap_info"` // always null
	Warnings      []string `json:"warnings"`
	Auth          *auth    `json:"auth"`
	MountType     string   `json:"mount_type"`
}

// auth tells of a token that the client goes on with.
type auth struct {
	ClientToken   string            `json:"client_token"`
	Accessor      string            `json:"accessor"`
	Policies      []string          `json:"policies"`
	TokenPolicies []string          `json:"token_policies"`
	Metadata      map[string]string `json:"metadata"`
	LeaseDuration int64             `json:"lease_duration"` // seconds; 0: it does not end
	Renewable     bool              `json:"renewable"`
	EntityID      string            `json:"entity_id"`
	TokenType     string            `json:"token_type"`
	Orphan        bool              `json:"orphan"`
	NumUses       int               `json:"num_uses"`
}

// mountType is what every mount is said to be: the kind that leases credentials.
const mountType = "database"

// write answers with a body.
func write(w http.ResponseWriter, status int, body any) {
	if a, ok := body.(*answer); ok {
		a.RequestID = w.Header().Get(types.HeaderRequestID)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = encode(w, body) // a client that went away is nobody's error
}

func encode(w io.Writer, body any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(body)
}

// seconds until an instant, to the nearest one. What lives has one at least: clients read 0 as something without an
// end.
func seconds(now, end time.Time) int64 {
	return max(1, int64(math.Round(end.Sub(now).Seconds())))
}

// text writes an instant as Vault does; nil: there is none.
func text(at *time.Time) any {
	if at == nil {
		return nil
	}
	return at.UTC().Format(time.RFC3339Nano)
}
