package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"broker/api/types"
	"broker/broker"
	"broker/fsm"
	"broker/providers"
)

// Documents are what connections publish for those who check their credentials, at every node, whether it leads or not.
// [*broker.Broker] implements it. Its errors are broker.ErrNoDocument for what there is not, whatever the reason.
type Documents interface {
	Documents(connection fsm.ConnectionName) ([]providers.Document, error)
	Document(connection fsm.ConnectionName, document string) (broker.Document, error)
}

// documentStaleness is for how long a node that hears of no leader serves documents: a list of what was revoked that is
// older would pass for a new one.
const documentStaleness = time.Minute

// DocumentList asks what a connection publishes.
type DocumentList struct{ ConnectionPath }

// DocumentGet asks for a document of a connection.
type DocumentGet struct {
	ConnectionPath
	Document    string `path:"document"`
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag of an earlier answer: 304 when it is the same still"`
}

// document is an answer that is a document itself.
type document struct {
	Status   int
	Type     string    `header:"Content-Type"`
	Tag      string    `header:"ETag"`
	Modified time.Time `header:"Last-Modified"`
	Body     []byte
}

func (r *routes) documents() {
	s := r.server
	register(r, route{id: "document-list", open: true, method: http.MethodGet, path: "/connections/{name}/documents", summary: "List what a connection publishes for those who check its credentials"}, s.listDocuments)
	register(r, route{id: "document-get", open: true, method: http.MethodGet, path: "/connections/{name}/documents/{document}", summary: "Get what a connection publishes, such as an authority's certificate or its list of what was revoked, as the answering node has it"}, s.getDocument)
}

// isDocument reports whether a request reads what connections publish.
func isDocument(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.URL.Path, apiPrefix+"/connections/")
	parts := strings.Split(rest, "/")
	return ok && !isWrite(r.Method) && (len(parts) == 2 || len(parts) == 3) && parts[1] == "documents"
}

// fit refuses documents of a node that cannot know what they have to say.
func (s *Server) fit() error {
	if err := s.sound(); err != nil {
		return err
	}
	if s.config.Cluster.Staleness() > documentStaleness {
		return problem(codeTooStale, "this node has heard of no leader for longer than it may vouch for what was revoked: ask another node")
	}
	return nil
}

func (s *Server) listDocuments(_ context.Context, _ *call, in *DocumentList) (*body[types.Page[types.Document]], error) {
	if s.config.Documents == nil {
		return nil, noDocument()
	}
	found, err := s.config.Documents.Documents(in.name())
	if err != nil {
		return nil, documentError(err)
	}
	out := body[types.Page[types.Document]]{types.Page[types.Document]{Items: []types.Document{}}}
	for _, one := range found {
		out.Body.Items = append(out.Body.Items, types.Document{Name: one.Name, ContentType: one.ContentType, Help: one.Help})
	}
	return &out, nil
}

func (s *Server) getDocument(_ context.Context, c *call, in *DocumentGet) (*document, error) {
	if s.config.Documents == nil {
		return nil, noDocument()
	}
	if err := s.fit(); err != nil {
		return nil, err
	}
	found, err := s.config.Documents.Document(in.name(), in.Document)
	if err != nil {
		return nil, documentError(err)
	}
	sum := sha256.Sum256(found.Content)
	out := &document{
		Status: http.StatusOK, Type: found.ContentType, Tag: strconv.Quote(hex.EncodeToString(sum[:16])), Modified: found.MadeAt, Body: found.Content,
	}
	c.header.Set("Cache-Control", "no-cache") // to be asked for again each time; there is nothing to hide
	if in.IfNoneMatch == out.Tag {
		out.Status, out.Body = http.StatusNotModified, nil
	}
	return out, nil
}

// noDocument is the one answer for what is not published: it does not tell which connections there are.
func noDocument() error {
	return &fsm.Refusal{Code: fsm.CodeNotFound, Message: "there is no such document"}
}

func documentError(err error) error {
	if errors.Is(err, broker.ErrNoDocument) {
		return noDocument()
	}
	return err
}
