package vault

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"broker/api/types"
)

// The codes of problems that this package raises itself.
const (
	codeMalformed     = "malformed_request"
	codeNotFound      = "not_found"
	codeNoRoute       = "no_such_route"
	codeMethod        = "method_not_allowed"
	codeLeaseNotFound = "lease_not_found"
	codeForbidden     = "forbidden"
)

// refuse makes the problem of a request that cannot be meant.
func refuse(detail string) *types.Problem {
	return &types.Problem{Status: http.StatusBadRequest, Code: codeMalformed, Detail: detail}
}

// noLease is what clients know the end of a lease by: the words are Vault's, and compared.
func noLease() *types.Problem {
	return &types.Problem{Status: http.StatusBadRequest, Code: codeLeaseNotFound, Detail: "lease not found"}
}

// codeOf is the code of a problem; empty: the error is none.
func codeOf(err error) string {
	if p, ok := err.(*types.Problem); ok {
		return p.Code
	}
	return ""
}

// as is another problem in place of one with any of the codes, and any other error as it is.
func as(err error, instead *types.Problem, codes ...string) error {
	if slices.Contains(codes, codeOf(err)) {
		return instead
	}
	return err
}

// permissionDenied begins what a client without permission is told; programs look for it.
const permissionDenied = "permission denied"

// told returns the status and the sentences in which a problem is told to a client of Vault.
func told(p *types.Problem) (status int, sentences []string) {
	switch p.Status {
	case http.StatusUnauthorized:
		return http.StatusForbidden, []string{permissionDenied, p.Detail}
	case http.StatusForbidden:
		sentences = []string{permissionDenied}
	case http.StatusUnprocessableEntity:
		p.Status = http.StatusBadRequest
	}
	sentences = append(sentences, p.Error())
	if p.Hint != "" {
		sentences = append(sentences, p.Hint)
	}
	return p.Status, sentences
}

// Speaker is an http.ResponseWriter that has problems told in the words of Vault. Whatever else is written passes.
// Finish must be called at the end.
type Speaker struct {
	http.ResponseWriter
	problem bool // what is written is one, and held back
	body    []byte
}

// WriteHeader holds the status of a problem back: it is told in its body.
func (s *Speaker) WriteHeader(status int) {
	if s.Header().Get("Content-Type") == types.ProblemContentType {
		s.problem = true
		return
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write keeps a problem and passes everything else.
func (s *Speaker) Write(data []byte) (int, error) {
	if s.problem {
		s.body = append(s.body, data...)
		return len(data), nil
	}
	return s.ResponseWriter.Write(data)
}

// Unwrap gives http.ResponseController its way to the connection.
func (s *Speaker) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Finish tells the problem, if there is one.
func (s *Speaker) Finish() {
	if !s.problem {
		return
	}
	p := &types.Problem{}
	if json.Unmarshal(s.body, p) != nil || p.Status == 0 {
		p = &types.Problem{Status: http.StatusInternalServerError, Detail: "an internal error happened"}
	}
	status, sentences := told(p)
	header := s.Header()
	header.Del("WWW-Authenticate")
	header.Set("Content-Type", contentType)
	header.Del("Content-Length")
	s.ResponseWriter.WriteHeader(status)
	_ = encode(s.ResponseWriter, map[string]any{"errors": nonEmpty(sentences)}) // a client that went away is nobody's error
}

func nonEmpty(list []string) []string {
	out := []string{}
	for _, one := range list {
		if strings.TrimSpace(one) != "" {
			out = append(out, one)
		}
	}
	return out
}
