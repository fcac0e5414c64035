package awstest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// What leased keys read.
const (
	Bucket = "reports"
	Object = "today"
	Group  = "readers" // may read the object
)

// ReadPolicy allows to read the bucket's objects.
const ReadPolicy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + Bucket + `/*"}}`

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// readObject reads the object with a key, or says why it was refused.
func readObject(ctx context.Context, endpoint string, key Key) error {
	return s3(ctx, endpoint, key, http.MethodGet, "/"+Bucket+"/"+Object, "")
}

func s3(ctx context.Context, endpoint string, key Key, method, path, body string) error {
	request, err := http.NewRequestWithContext(ctx, method, endpoint+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-Amz-Content-Sha256", hashOf([]byte(body)))
	err = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(ctx,
		aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret, SessionToken: key.Token},
		request, hashOf([]byte(body)), "s3", "us-east-1", time.Now())
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, content)
	}
	return nil
}
