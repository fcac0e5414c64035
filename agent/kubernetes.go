package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// account is where a pod finds what its service account may use.
const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

// kubernetes calls the API server.
type kubernetes struct {
	server    string
	tokenFile string // read for each call: it is replaced all the time
	namespace string // of what says none
	http      *http.Client
}

// statusError is an answer that is no success.
type statusError struct {
	code    int
	message string
}

// Error says what the API server said.
func (e *statusError) Error() string {
	return fmt.Sprintf("the API server answered %d: %s", e.code, e.message)
}

func answered(err error, code int) bool {
	var status *statusError
	return errors.As(err, &status) && status.code == code
}

// connect returns what calls the API server, of this pod unless the configuration says another one.
func (c Cluster) connect() (*kubernetes, error) {
	k := &kubernetes{server: strings.TrimSuffix(c.Server, "/"), tokenFile: c.TokenFile, namespace: "default"}
	caFile := c.CACert
	if k.server == "" {
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			return nil, errors.New("this is no pod of Kubernetes (KUBERNETES_SERVICE_HOST is not set): say kubernetes: {server, token_file, ca_cert}")
		}
		k.server = "https://" + net.JoinHostPort(host, port)
		if caFile == "" {
			caFile = account + "ca.crt"
		}
	}
	if k.tokenFile == "" {
		k.tokenFile = account + "token"
	}
	if own, err := os.ReadFile(account + "namespace"); err == nil {
		k.namespace = strings.TrimSpace(string(own))
	}
	if u, err := url.Parse(k.server); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("kubernetes.server: %q must be an https:// address: a token is sent there", k.server)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("reading the CA of Kubernetes: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", caFile)
		}
	}
	k.http = &http.Client{
		Transport: transport, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // values go nowhere else
	}
	return k, nil
}

// path is an object's; of a collection without a name.
func (k *kubernetes) path(group, resource string, o ObjectName) string {
	path := group + "/namespaces/" + url.PathEscape(k.space(o)) + "/" + resource
	if o.Name != "" {
		path += "/" + url.PathEscape(o.Name)
	}
	return path
}

func (k *kubernetes) space(o ObjectName) string {
	if o.Namespace == "" {
		return k.namespace
	}
	return o.Namespace
}

// call sends an object, unless it is nil, and decodes the answer into another. Bodies hold values and are in no error.
func (k *kubernetes) call(ctx context.Context, method, path string, body, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding the object: %w", err)
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, k.server+path, content)
	if err != nil {
		return err
	}
	token, err := os.ReadFile(k.tokenFile)
	if err != nil {
		return fmt.Errorf("reading the service account's token: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := k.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		var status struct {
			Reason  string `json:"reason"`
			Message string `json:"message"`
		}
		_ = json.Unmarshal(text, &status) // what is no Status says nothing
		said := status.Message
		switch _, values := body.(opaque); {
		case !values, response.StatusCode == http.StatusUnauthorized, response.StatusCode == http.StatusNotFound, response.StatusCode == http.StatusConflict:
		default: // whoever refuses it may quote it
			said = status.Reason + " (its message may repeat values and is left out)"
		}
		return &statusError{response.StatusCode, said}
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return errors.New("the API server's answer is no object") // the cause would quote it
	}
	return nil
}

// metadata is what every object has; what is not named here is not changed by a PUT that leaves it out.
type metadata struct {
	Name            string            `json:"name"`
	Namespace       string            `json:"namespace"`
	UID             string            `json:"uid,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
	OwnerReferences json.RawMessage   `json:"ownerReferences,omitempty"`
	Finalizers      json.RawMessage   `json:"finalizers,omitempty"`
}
