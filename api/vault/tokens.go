package vault

import (
	"net/http"
	"time"

	"broker/api/types"
)

func (s *Server) lookUpSelf(w http.ResponseWriter, r *request) error {
	t, err := s.config.Native.OwnToken(r.Context())
	if err != nil {
		return err
	}
	s.tell(w, t, r.token())
	return nil
}

// lookUpToken tells of a token that is shown; without one, of the caller's.
func (s *Server) lookUpToken(w http.ResponseWriter, r *request) error {
	token, err := r.fields.text("token")
	if err != nil {
		return err
	}
	if token == "" || token == r.token() {
		return s.lookUpSelf(w, r)
	}
	t, err := s.config.Native.TokenOf(r.Context(), token)
	if err != nil {
		bad := refuse("bad token")
		bad.Status, bad.Code = http.StatusForbidden, codeForbidden
		return as(err, bad, codeNotFound, "unauthenticated")
	}
	s.tell(w, t, token)
	return nil
}

// tell answers with what is known of a token, which the client has shown.
func (s *Server) tell(w http.ResponseWriter, t types.Token, token string) {
	left, whole := s.left(t), int64(0)
	if t.ExpiresAt != nil {
		whole = seconds(t.CreatedAt, *t.ExpiresAt)
	}
	write(w, http.StatusOK, &answer{Data: map[string]any{
		"accessor": t.Accessor, "id": token, "display_name": t.Account, "path": pathOf(t), "type": "service", "entity_id": "",
		"creation_time": t.CreatedAt.Unix(), "issue_time": text(&t.CreatedAt), "creation_ttl": whole, "explicit_max_ttl": whole,
		"expire_time": text(t.ExpiresAt), "ttl": left, "renewable": left > 0, "num_uses": usesLeft(t),
		"orphan": t.Parent == "", "policies": []string{}, "meta": map[string]string{"account": t.Account},
	}})
}

// left is for how many seconds a token is good; zero: it does not end.
func (s *Server) left(t types.Token) int64 {
	if t.ExpiresAt == nil {
		return 0
	}
	return seconds(s.config.Now(), *t.ExpiresAt)
}

func usesLeft(t types.Token) int { return max(0, t.MaxUses-t.Uses) }

// pathOf is where a token comes from.
func pathOf(t types.Token) string {
	switch t.Method {
	case "client":
		return "auth/approle/login"
	case "password":
		return "auth/userpass/login/" + t.Account
	}
	return "auth/token/create"
}

// authOf tells of a token that the client goes on with. One that ends is called renewable, as Vault does with one that
// has come to its longest life: clients then ask how long it lives, and sign in again before it ends.
func (s *Server) authOf(t types.Token, token string) *auth {
	left := s.left(t)
	return &auth{
		ClientToken: token, Accessor: t.Accessor, Policies: []string{}, TokenPolicies: []string{},
		Metadata: map[string]string{"account": t.Account}, LeaseDuration: left, Renewable: left > 0, TokenType: "service",
		Orphan: t.Parent == "", NumUses: usesLeft(t),
	}
}

// renewSelf tells for how long the token is good. No token lives longer than it was made for: whoever has one must show
// again who he is.
func (s *Server) renewSelf(w http.ResponseWriter, r *request) error {
	increment, err := r.fields.duration("increment")
	if err != nil {
		return err
	}
	t, err := s.config.Native.OwnToken(r.Context())
	if err != nil {
		return err
	}
	out := &answer{Auth: s.authOf(t, r.token())}
	if left := time.Duration(out.Auth.LeaseDuration) * time.Second; left > 0 && increment > left {
		out.Warnings = []string{"a token is not good for longer than it was made for: sign in again, or make another one, before it ends"}
	}
	write(w, http.StatusOK, out)
	return nil
}

func (s *Server) revokeSelf(w http.ResponseWriter, r *request) error {
	if err := s.config.Native.DropOwnToken(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Bounds of what a token is made with, as the native route has them.
const (
	maxDescription = 1000
	maxUses        = 1_000_000
)

// narrowing are the wishes for a token that would make it good for less, or keep it longer, and that are not done:
// leaving them out would give more than was asked for.
var narrowing = []string{"id", "policies", "period", "no_parent", "entity_alias", "role_name"}

func (s *Server) createToken(w http.ResponseWriter, r *request) error {
	for _, name := range narrowing {
		if r.fields.given(name) {
			return refuse(name + " is not taken: a token may do what its account may, and goes with the token it is made with")
		}
	}
	spec := types.TokenSpec{}
	var err error
	if spec.Description, err = r.fields.text("display_name"); err != nil {
		return err
	}
	if spec.Uses, err = r.fields.number("num_uses"); err != nil {
		return err
	}
	if len(spec.Description) > maxDescription || spec.Uses > maxUses {
		return refuse("display_name or num_uses is too much")
	}
	ttl, err := r.fields.duration("ttl")
	if err != nil {
		return err
	}
	most, err := r.fields.duration("explicit_max_ttl")
	if err != nil {
		return err
	}
	if lease, err := r.fields.duration("lease"); err != nil {
		return err
	} else if ttl == 0 {
		ttl = lease
	}
	if most > 0 && (ttl == 0 || most < ttl) {
		ttl = most
	}
	if ttl > 0 {
		d := types.Duration(ttl)
		spec.TTL = &d
	}
	var warnings []string
	if kind, err := r.fields.text("type"); err != nil {
		return err
	} else if kind == "batch" {
		warnings = append(warnings, "there are no batch tokens: this is a service token")
	}
	if r.fields.given("meta") {
		warnings = append(warnings, "meta is not kept")
	}
	made, err := s.config.Native.MakeToken(r.Context(), spec)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, &answer{Auth: s.authOf(made, made.Token), Warnings: warnings})
	return nil
}

func (s *Server) signInAppRole(w http.ResponseWriter, r *request) error {
	return s.signIn(w, r, "role_id", "secret_id", "invalid role or secret ID")
}

func (s *Server) signInUserPass(w http.ResponseWriter, r *request) error {
	return s.signIn(w, r, "", "password", "invalid username or password")
}

// signIn answers a proof with a token. A wrong one is answered in the words that clients know.
func (s *Server) signIn(w http.ResponseWriter, r *request, nameField, secretField, wrong string) error {
	secret, err := r.fields.text(secretField)
	if err != nil {
		return err
	}
	name, by := "", s.config.Native.SignInClient
	if nameField == "" {
		name, by = r.names[0], s.config.Native.SignInPassword
	} else if name, err = r.fields.text(nameField); err != nil {
		return err
	}
	if len(name) > maxName || len(secret) > maxSecret {
		return refuse(wrong)
	}
	made, err := by(r.Context(), name, secret)
	if err != nil {
		return as(err, refuse(wrong), "sign_in_refused")
	}
	write(w, http.StatusOK, &answer{Auth: s.authOf(made, made.Token)})
	return nil
}

// Bounds of what somebody shows to sign in, as the native routes have them.
const (
	maxName   = 128
	maxSecret = 4096
)
