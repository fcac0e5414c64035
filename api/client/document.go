package client

import (
	"context"
	"net/http"
	"net/url"

	"broker/api/types"
)

// ListDocuments returns what a connection publishes for those who check its credentials. It needs no token.
func (c *Client) ListDocuments(ctx context.Context, connection string, options ...Option) (types.Page[types.Document], error) {
	var out types.Page[types.Document]
	var content []byte
	err := c.do(ctx, "listing the documents of connection "+connection, &call{
		method: http.MethodGet, path: connectionPath(connection) + "/documents", answer: &out, content: &content,
	}, options...)
	return out, err
}

// GetDocument returns what a connection publishes under a name, as the answering node has it. It needs no token.
func (c *Client) GetDocument(ctx context.Context, connection, document string, options ...Option) ([]byte, error) {
	var out []byte
	err := c.do(ctx, "getting the document "+document+" of connection "+connection, &call{
		method: http.MethodGet, path: connectionPath(connection) + "/documents/" + url.PathEscape(document), content: &out,
	}, options...)
	return out, err
}
