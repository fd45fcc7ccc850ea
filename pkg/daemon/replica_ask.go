package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/server/page"
	"kooperd.dev/kooperd/pkg/statusz"
)

// statusPath is the page with the whole report.
const statusPath = "statusz"

// maxReportItems is how many objects a replica lists at most.
const maxReportItems = 100

// maxReportBytes bounds what a replica may answer.
const maxReportBytes = 64 << 20

// errNotKnown means that a replica knows nothing of an object.
var errNotKnown = errors.New("the replica knows nothing of it")

// report asks for everything, with at most so many objects in each list.
func (r *replica) report(ctx context.Context, items int) (*statusz.Report, []byte, error) {
	raw, err := r.get(ctx, statusPath, url.Values{"items": {strconv.Itoa(items)}})
	if err != nil {
		return nil, nil, err
	}
	report := new(statusz.Report)
	if err := r.decode(raw, report); err != nil {
		return nil, nil, err
	}
	return report, raw, r.checkVersion(report.Version)
}

// object asks for one object. The error is errNotKnown when it is watched by nothing.
func (r *replica) object(ctx context.Context, object statusz.ObjectRef) (*statusz.ObjectReport, []byte, error) {
	path, text, _ := strings.Cut(page.ObjectPath(object), "?")
	query, err := url.ParseQuery(text)
	if err != nil {
		return nil, nil, err
	}
	raw, err := r.get(ctx, path, query)
	if err != nil {
		return nil, nil, err
	}
	report := new(statusz.ObjectReport)
	if err := r.decode(raw, report); err != nil {
		return nil, nil, err
	}
	return report, raw, r.checkVersion(report.Version)
}

func (r *replica) decode(raw []byte, report any) error {
	if err := json.Unmarshal(raw, report); err != nil {
		return fmt.Errorf("reading the answer of %s: it is no report of kooperd: %w", r.name, err)
	}
	return nil
}

// checkVersion refuses what may mean something else than it seems to.
func (r *replica) checkVersion(version string) error {
	switch version {
	case statusz.Version:
		return nil
	case "":
		return fmt.Errorf("%s answers with something else than a report of kooperd", r.name)
	}
	return fmt.Errorf("%s speaks version %s of the report and this program %s: use the kooperd of the same release", r.name, version, statusz.Version)
}

// get reads a page as JSON. It sends a token only when that is asked for.
func (r *replica) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	query.Set("format", "json")
	address := r.base.JoinPath(path)
	address.RawQuery = query.Encode()
	code, body, err := r.send(ctx, address)
	if err == nil && code == http.StatusUnauthorized && r.sent == "" {
		if err := r.authenticate(ctx); err != nil {
			return nil, fmt.Errorf("%s asks for a bearer token: %w", r.name, err)
		}
		code, body, err = r.send(ctx, address)
	}
	if err != nil {
		return nil, err
	}
	return body, r.checkCode(code, path, body)
}

// authenticate makes requests carry the token from now on.
func (r *replica) authenticate(ctx context.Context) (err error) {
	switch {
	case r.token == nil:
		return errors.New("--authenticate sends that of the kubeconfig's user")
	case !r.secure:
		return errors.New("it would travel in the open; ask the pod without --address, or use https://")
	}
	r.sent, err = r.token(ctx)
	return err
}

// send sends one request.
func (r *replica) send(ctx context.Context, address *url.URL) (code int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "kooperd/"+Version())
	if r.sent != "" {
		request.Header.Set("Authorization", "Bearer "+r.sent)
	}
	response, err := r.client.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the address, which says nothing of a pod
		}
		return 0, nil, fmt.Errorf("asking %s: %w", r.name, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxReportBytes+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("reading the answer of %s: %w", r.name, err)
	case len(body) > maxReportBytes:
		return 0, nil, fmt.Errorf("reading the answer of %s: it is longer than %d MiB", r.name, maxReportBytes>>20)
	}
	return response.StatusCode, body, nil
}

// checkCode says what an answer means that is no report.
func (r *replica) checkCode(code int, path string, body []byte) error {
	text := strings.Join(strings.Fields(string(body[:min(len(body), 512)])), " ")
	switch {
	case code == http.StatusOK:
		return nil
	case code == http.StatusNotFound && path != statusPath:
		return errNotKnown
	case code == http.StatusNotFound:
		return fmt.Errorf("%s has no status page: it is an older kooperd, or something else", r.name)
	case code == http.StatusUnauthorized:
		return fmt.Errorf("%s does not accept the bearer token of the kubeconfig's user: %s", r.name, text)
	}
	return fmt.Errorf("%s answers %d: %s", r.name, code, text)
}

// token returns the bearer token with which the kubeconfig's user speaks to the API server. It may
// run a credential plugin.
func (f *replicaFinder) token(ctx context.Context) (string, error) {
	seen := &tokenSeer{}
	transport, err := rest.HTTPWrappersForConfig(f.where.rest, seen)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://kooperd.invalid/", http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	if seen.token == "" {
		return "", errors.New("the user of the kubeconfig has none, as when it has a client certificate: " +
			"use a --kubeconfig or --context whose user has one, such as one of kubectl create token")
	}
	return seen.token, nil
}

// tokenSeer answers requests without sending them, and keeps the token that they carry.
type tokenSeer struct{ token string }

// RoundTrip implements http.RoundTripper.
func (s *tokenSeer) RoundTrip(request *http.Request) (*http.Response, error) {
	if token, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer "); ok {
		s.token = token
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: request}, nil
}
