package offline

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Confirmation says how the writes of a Server are confirmed by an API server. What cannot be
// confirmed is done by the Server alone, and is told by Unconfirmed. Nothing is asked about writes
// of a status and of finalizers.
type Confirmation struct {
	// Never is true when no write is asked for.
	Never bool
	// AtOnce bounds how many dry runs are under way: each takes one place in it. It is shared by
	// Servers.
	AtOnce chan struct{}
	// Answers keeps the answers, so that nothing is asked twice; nil for that each is asked for. It
	// is shared by Servers that work out the same.
	Answers *Answers
}

// confirmer is a Confirmation with what could not be confirmed.
type confirmer struct {
	Confirmation

	mu          sync.Mutex
	unconfirmed map[Key]string
	missing     []MissingRight
}

// MissingRight is a right that a dry run would have taken.
type MissingRight struct {
	schema.GroupResource
	// Namespace is empty for the whole cluster.
	Namespace string
	Verb      string
}

// ConfirmBy makes the Server confirm writes. It is called before Over.
func (s *Server) ConfirmBy(c Confirmation) {
	s.confirm = &confirmer{Confirmation: c, unconfirmed: map[Key]string{}}
}

// Unconfirmed says of objects why a write of them could not be confirmed.
func Unconfirmed(s *Server) map[Key]string {
	if s.confirm == nil {
		return nil
	}
	s.confirm.mu.Lock()
	defer s.confirm.mu.Unlock()
	return maps.Clone(s.confirm.unconfirmed)
}

// MissingRights are the rights for lack of which writes could not be confirmed.
func MissingRights(s *Server) []MissingRight {
	if s.confirm == nil {
		return nil
	}
	s.confirm.mu.Lock()
	defer s.confirm.mu.Unlock()
	return append([]MissingRight{}, s.confirm.missing...)
}

// notAsked is why nothing is confirmed where that is not wanted.
const notAsked = "the API server was not asked"

// confirm asks the API server for a write, and carries it out here where that cannot be confirmed.
func (x exchange) confirm(w write) (*http.Response, error) {
	c := x.server.confirm
	if w.subresource == "status" || w.isJSONPatch() && !w.ofManagers() {
		return x.alone(w)
	}
	if c.Never {
		c.note(w, notAsked)
		return x.alone(w)
	}
	resp, err := x.dryRun(w)
	if err != nil {
		if w.req.Context().Err() != nil {
			return nil, err
		}
		c.note(w, err.Error())
		return x.alone(w)
	}
	if resp.StatusCode < http.StatusMultipleChoices {
		return resp, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close() // It was read.
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	var status metav1.Status
	if json.Unmarshal(text, &status) != nil {
		status.Message = string(text)
	}
	if resp.StatusCode == http.StatusConflict && !w.isApply() {
		doubt(x.server, w.key())
		return resp, nil
	}
	why, unconfirmed := x.unconfirmable(w, resp.StatusCode, status)
	if !unconfirmed {
		return resp, nil
	}
	c.note(w, why)
	return x.alone(w)
}

// alone carries a write out without an API server.
func (x exchange) alone(w write) (*http.Response, error) {
	answer, err := x.server.carryOut(w)
	if err != nil {
		return refuse(w.req, err)
	}
	if w.isJSONPatch() {
		diverge(x.server, w.key())
	}
	return respond(w.req, http.StatusOK, answer)
}

func (w write) isJSONPatch() bool {
	return w.req.Header.Get("Content-Type") == string(types.JSONPatchType)
}

// doubt notes that an object is another one in the API server by now: it is read there again.
func doubt(s *Server, key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entry(key); e != nil {
		e.stale = true
		s.objects[key] = e
	}
}

// diverge notes that the version of an object is one that the API server does not know.
func diverge(s *Server, key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.objects[key]; e != nil {
		e.diverged = true
	}
}

// ofRights is how the API server says that a right is missing.
var ofRights = regexp.MustCompile(`cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?`)

// unconfirmable reports whether a refused dry run says nothing of what a running kooperd would be
// answered, with why.
func (x exchange) unconfirmable(w write, code int, status metav1.Status) (why string, unconfirmed bool) {
	switch {
	case code == http.StatusForbidden:
		right := ofRights.FindStringSubmatch(status.Message)
		if right != nil {
			x.server.confirm.miss(MissingRight{
				GroupResource: schema.GroupResource{Group: right[3], Resource: right[2]}, Namespace: right[4], Verb: right[1],
			})
			return "the right to " + right[1] + " " + right[2] + " is missing", true
		}
		isFence := strings.Contains(status.Message, "ValidatingAdmissionPolicy") && strings.Contains(status.Message, "the lease ")
		return "the fence lets only the leader write: " + status.Message, isFence
	case code == http.StatusBadRequest:
		return status.Message, strings.Contains(status.Message, "does not support dry run")
	case code == http.StatusNotFound && w.namespace != "":
		e, ok := x.server.known(Key{GroupKind: schema.GroupKind{Kind: "Namespace"}, Name: w.namespace})
		return "its namespace does not exist yet", ok && e.before == nil && e.now != nil
	default:
		return status.Message, code >= http.StatusInternalServerError || code == http.StatusTooManyRequests
	}
}

func (c *confirmer) note(w write, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.unconfirmed[w.key()]; !known {
		c.unconfirmed[w.key()] = why
	}
}

func (c *confirmer) miss(right MissingRight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing = append(c.missing, right)
}

// transport bounds the dry runs, and keeps their answers. c may be nil.
func (c *confirmer) transport(base http.RoundTripper) http.RoundTripper {
	if c == nil {
		return base
	}
	return bounded{Confirmation: c.Confirmation, base: base}
}

// bounded sends the dry runs of a Confirmation.
type bounded struct {
	Confirmation
	base http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		return b.base.RoundTrip(req)
	}
	return b.Answers.get(req, func() (*http.Response, error) {
		if b.AtOnce != nil {
			select {
			case b.AtOnce <- struct{}{}:
				defer func() { <-b.AtOnce }()
			case <-req.Context().Done():
				return nil, req.Context().Err()
			}
		}
		return b.base.RoundTrip(req)
	})
}

// Answers keeps what an API server has answered to dry runs. The zero Answers is ready for use. It
// is safe for concurrent use.
type Answers struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]keptAnswer
}

type keptAnswer struct {
	code   int
	header http.Header
	body   []byte
}

// get returns the answer to a request, which is asked for if it is not known. a may be nil.
func (a *Answers) get(req *http.Request, ask func() (*http.Response, error)) (*http.Response, error) {
	if a == nil || req.GetBody == nil {
		return ask()
	}
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%s %s %s\n", req.Method, req.URL, req.Header.Get("Content-Type")) // A hash takes everything.
	body, err := req.GetBody()
	if err == nil {
		_, err = io.Copy(hash, body)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	key := [sha256.Size]byte(hash.Sum(nil))
	a.mu.Lock()
	answer, known := a.known[key]
	a.mu.Unlock()
	if !known {
		resp, err := ask()
		if err != nil {
			return nil, err
		}
		answer = keptAnswer{code: resp.StatusCode, header: resp.Header}
		answer.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
		_ = resp.Body.Close() // It was read.
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		a.mu.Lock()
		if a.known == nil {
			a.known = map[[sha256.Size]byte]keptAnswer{}
		}
		a.known[key] = answer
		a.mu.Unlock()
	}
	if known {
		_ = req.Body.Close() // It need not be sent.
	}
	return &http.Response{
		Status: http.StatusText(answer.code), StatusCode: answer.code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: answer.header.Clone(), Body: io.NopCloser(bytes.NewReader(answer.body)), ContentLength: int64(len(answer.body)),
	}, nil
}
