package awsclient

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"broker/providers"
)

// metadata answers as the services do that tell a machine its credentials, and knows the addresses that it is asked at.
type metadata struct {
	t     *testing.T
	where string
	asked []string
}

func newMetadata(t *testing.T) *metadata {
	m := &metadata{t: t}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.where = server.Listener.Addr().String()
	return m
}

func (m *metadata) dial(ctx context.Context, network, address string) (net.Conn, error) {
	m.asked = append(m.asked, address)
	var d net.Dialer
	return d.DialContext(ctx, network, m.where)
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{"Code": "Success", "AccessKeyId": "ASIAMACHINE00000000", "SecretAccessKey": "s", "Token": "t", "Expiration": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}
	switch {
	case strings.HasSuffix(r.URL.Path, "/latest/api/token"):
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		_, _ = w.Write([]byte("token"))
	case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
		_, _ = w.Write([]byte("instance-role"))
	case strings.HasSuffix(r.URL.Path, "/instance-role"):
		if r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token" {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	case r.URL.Path == "/pod" && r.Header.Get("Authorization") != "from-a-file":
		http.Error(w, `{"code":"denied","message":"no token"}`, http.StatusUnauthorized)
	case r.URL.Path == "/task", r.URL.Path == "/pod":
		_ = json.NewEncoder(w).Encode(answer)
	case r.URL.Path == "/away":
		http.Redirect(w, r, "http://169.254.169.254/task", http.StatusFound)
	default:
		http.NotFound(w, r)
	}
}

// The machine's own identity is read from the addresses that AWS tells it at, and from no other.
func TestMachine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		env   map[string]string
		asked string // "" for nobody
		key   string // "" for an error
	}{
		{"instance role", nil, "169.254.169.254:80", "ASIAMACHINE00000000"},
		{"environment", map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENVIRONMENT0000", "AWS_SECRET_ACCESS_KEY": "x"}, "", "AKIAENVIRONMENT0000"},
		{"task of ECS", map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/task"}, "169.254.170.2:80", "ASIAMACHINE00000000"},
		{"pod of EKS", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/pod", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file}, "169.254.170.23:80", "ASIAMACHINE00000000"},
		{"another address", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.169.254/task"}, "", ""},
		{"a name", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://metadata.internal/task"}, "", ""},
		{"a host hidden in a path", map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": ".evil.example/task"}, "", ""},
		{"a redirect", map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/away"}, "169.254.170.2:80", ""},
	} {
		m := newMetadata(t)
		provider := machineOf(func(name string) string { return test.env[name] }, m.dial, "us-east-1", sts.Options{})
		got, err := provider.Retrieve(t.Context())
		if (err == nil) != (test.key != "") || got.AccessKeyID != test.key {
			t.Errorf("%s: got %q, %v, want %q", test.name, got.AccessKeyID, err, test.key)
		}
		for _, asked := range m.asked {
			if asked != test.asked {
				t.Errorf("%s: asked at %s, want %q", test.name, asked, test.asked)
			}
		}
		if test.asked != "" && len(m.asked) == 0 {
			t.Errorf("%s: nobody was asked", test.name)
		}
	}
}

// The web identity of a pod is exchanged at STS, without a signature and with the token's text.
func TestWebIdentity(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("a.pod.token"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/pod", "AWS_WEB_IDENTITY_TOKEN_FILE": file}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Header.Get("Authorization") != "" || r.Form.Get("WebIdentityToken") != "a.pod.token" || r.Form.Get("RoleArn") != env["AWS_ROLE_ARN"] {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte("<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAPOD</AccessKeyId><SecretAccessKey>s</SecretAccessKey>" +
			"<SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"))
	}))
	defer server.Close()
	env["AWS_ENDPOINT_URL_STS"] = server.URL
	m := newMetadata(t)
	got, err := machineOf(func(name string) string { return env[name] }, m.dial, "us-east-1", sts.Options{Region: "us-east-1"}).Retrieve(t.Context())
	if err != nil || got.AccessKeyID != "ASIAPOD" || len(m.asked) > 0 {
		t.Errorf("got %q, %v, metadata asked %v", got.AccessKeyID, err, m.asked)
	}
}

// Nor is that token shown to where a connection leads: who has it is the machine, outside of the broker too.
func TestWebIdentityStaysWithAWS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("a.pod.token"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_ENDPOINT_URL_STS", "")
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("WebIdentityToken") != "" {
			t.Errorf("the connection's endpoint was sent the token, %v", err)
		}
		http.Error(w, "no", http.StatusBadRequest)
	}))
	defer server.Close()
	local, err := providers.NewDialer(providers.DialerConfig{Allow: []string{"127.0.0.0/8"}, Resolve: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{FieldEndpoint, FieldSTSEndpoint} {
		c, err := New(providers.Settings{FieldRegion: "us-east-1", FieldCredentials: credentialsDefault, field: server.URL}, providers.Env{Dialer: local})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := c.own.Retrieve(ctx); err == nil {
			t.Errorf("%s: credentials were had", field)
		}
	}
}
