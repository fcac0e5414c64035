package awstest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// refusal is an error as AWS answers it.
type refusal struct {
	status     int
	code, text string
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

func noEntity(kind, name string) *refusal {
	return refuse(404, "NoSuchEntity", "The %s with name %s cannot be found.", kind, name)
}

// call is one call that is carried out. The fake's mutex is held.
type call struct {
	*Fake
	action string
	form   url.Values
	caller principal
}

func (c *call) param(name string) string { return c.form.Get(name) }

// ServeHTTP answers one call.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.gate.RLock()
	defer f.gate.RUnlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	form, _ := url.ParseQuery(string(body))
	action := form.Get("Action")
	f.mu.Lock()
	until := f.held[action]
	delete(f.held, action)
	clock := f.behaviour.Clock
	f.mu.Unlock()
	time.Sleep(time.Until(until))
	w.Header().Set("Date", time.Now().Add(clock).UTC().Format(http.TimeFormat))
	result, refused, lost := f.handle(r, body, action, form)
	if lost {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
		return
	}
	if refused != nil {
		w.WriteHeader(refused.status)
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>fake</RequestId></ErrorResponse>", refused.code, escape(refused.text))
		return
	}
	fmt.Fprintf(w, "<%sResponse><%sResult>%s</%sResult><ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata></%sResponse>", action, action, result, action, action)
}

func (f *Fake) handle(r *http.Request, body []byte, action string, form url.Values) (result string, refused *refusal, lost bool) {
	caller, refused := f.authenticate(r, body)
	if refused != nil {
		return "", refused, false
	}
	f.mu.Lock()
	before := f.behaviour.Before
	f.mu.Unlock()
	if before != nil {
		fault := before(action, form)
		time.Sleep(fault.Delay) // the slow answer itself, which nobody waits for by it
		if fault.Code != "" {
			return "", refuse(400, fault.Code, "%s", fault.Text), false
		}
		lost = fault.Lost
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[action]++
	c := &call{f, action, form, caller}
	if r.Method == http.MethodGet {
		return "", c.object(r.URL.Path), lost
	}
	handler, known := actions[action]
	if !known {
		return "", refuse(400, "InvalidAction", "Could not find operation %s", action), lost
	}
	if refused := c.authorize(handler.service+":"+action, handler.resource(c)); refused != nil {
		return "", refused, lost
	}
	result, refused = handler.do(c)
	return result, refused, lost
}

// authenticate checks signature and age, and returns who signed.
func (f *Fake) authenticate(r *http.Request, body []byte) (principal, *refusal) {
	fields := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[key] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 {
		return principal{}, refuse(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	f.mu.Lock()
	now := f.now()
	signer, refused := f.principal(scope[0], r.Header.Get("X-Amz-Security-Token"))
	f.mu.Unlock()
	if refused != nil {
		return principal{}, refused
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return principal{}, refuse(403, "IncompleteSignature", "Date must be in ISO-8601 'basic format'.")
	}
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return principal{}, refuse(400, "ValidationError", "%v", err)
	}
	for header := range strings.SplitSeq(fields["SignedHeaders"], ";") {
		if values := r.Header.Values(header); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(header)] = values
		}
	}
	err = v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{AccessKeyID: signer.key.ID, SecretAccessKey: signer.key.Secret, SessionToken: signer.key.Token},
		again, hashOf(body), scope[3], scope[2], at)
	if err != nil || !strings.HasSuffix(again.Header.Get("Authorization"), "Signature="+fields["Signature"]) {
		return principal{}, refuse(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
	}
	if at.Before(now.Add(-signatureTTL)) || at.After(now.Add(signatureTTL)) {
		return principal{}, refuse(403, "SignatureDoesNotMatch", "Signature expired: %s is now earlier than %s (%s - 5 min.)",
			at.Format("20060102T150405Z"), now.Add(-signatureTTL).UTC().Format("20060102T150405Z"), now.UTC().Format("20060102T150405Z"))
	}
	return signer, nil
}

func escape(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		panic(err) // a Builder takes everything
	}
	return b.String()
}

// element writes one element; content is XML already.
func element(name, content string) string { return "<" + name + ">" + content + "</" + name + ">" }

// page writes the part of a list that a call asks for.
func (c *call) page(name string, names []string, each func(string) string) (string, *refusal) {
	size := c.behaviour.PageSize
	if size == 0 {
		size = 100
	}
	if most := c.param("MaxItems"); most != "" {
		if _, err := fmt.Sscan(most, &size); err != nil {
			return "", refuse(400, "ValidationError", "MaxItems")
		}
		if c.behaviour.PageSize > 0 {
			size = min(size, c.behaviour.PageSize) // AWS may return fewer than asked for
		}
	}
	after, items, rest := c.param("Marker"), "", ""
	count := 0
	for _, one := range names {
		if one <= after {
			continue
		}
		if count == size {
			rest = element("Marker", escape(after))
			break
		}
		items += element("member", each(one))
		after = one
		count++
	}
	return element(name, items) + element("IsTruncated", fmt.Sprint(rest != "")) + rest, nil
}
