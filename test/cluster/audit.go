package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// AuditEvent is one request that the API server has answered, from its audit log.
// The fields are those of audit.k8s.io/v1 Event.
type AuditEvent struct {
	AuditID    string `json:"auditID"`
	Stage      string `json:"stage"`
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	UserAgent  string `json:"userAgent"`
	User       struct {
		Username string              `json:"username"`
		UID      string              `json:"uid"`
		Groups   []string            `json:"groups"`
		Extra    map[string][]string `json:"extra"`
	} `json:"user"`
	// ImpersonatedUser is the user that User has asked to be taken for; empty for most requests.
	ImpersonatedUser struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	SourceIPs []string `json:"sourceIPs"`
	// ObjectRef is zero for requests that are not about objects, like /version.
	ObjectRef struct {
		APIGroup        string `json:"apiGroup"`
		APIVersion      string `json:"apiVersion"`
		Resource        string `json:"resource"`
		Subresource     string `json:"subresource"`
		Namespace       string `json:"namespace"`
		Name            string `json:"name"`
		UID             string `json:"uid"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code    int    `json:"code"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"responseStatus"`
	// RequestObject is the body of a write, empty for reads and for anything about credentials.
	RequestObject json.RawMessage `json:"requestObject"`
	// RequestReceived and Answered are the API server's times of the request and of its answer's
	// end.
	RequestReceived metav1.MicroTime  `json:"requestReceivedTimestamp"`
	Answered        metav1.MicroTime  `json:"stageTimestamp"`
	Annotations     map[string]string `json:"annotations"`
}

// IsWrite reports whether the request would change an object, successful or not.
func (e AuditEvent) IsWrite() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb)
}

// AuditMark is a point in the audit log.
type AuditMark int64

// AuditMark returns the present end of the audit log, for AuditSince.
func (c *Cluster) AuditMark(t testing.TB) AuditMark {
	t.Helper()
	c.requireAudit(t)
	c.syncAudit(t)
	info, err := os.Stat(c.auditLog())
	if err != nil {
		t.Fatalf("reading the audit log: %v", err)
	}
	return AuditMark(info.Size())
}

// Audit returns all requests that have been answered since the first start, in the order of their
// answers. A watch is in it when it has ended. Options.Audit must be set.
func (c *Cluster) Audit(t testing.TB) []AuditEvent {
	t.Helper()
	return c.AuditSince(t, 0)
}

// AuditSince returns the requests that have been answered since mark, and of them those whose line
// in the log has each of mentions in it, like a user or a namespace. Tests that run side by side
// share the log: without mentions, each parses the lines of all. What was answered before the call
// is in it, if the API server is running.
func (c *Cluster) AuditSince(t testing.TB, mark AuditMark, mentions ...string) []AuditEvent {
	t.Helper()
	c.requireAudit(t)
	c.syncAudit(t)
	events, err := readAudit(c.auditLog(), int64(mark), mentions...)
	if err != nil {
		t.Fatalf("reading the audit log: %v", err)
	}
	return slices.DeleteFunc(events, func(e AuditEvent) bool { return e.UserAgent == syncUserAgent })
}

func (c *Cluster) requireAudit(t testing.TB) {
	t.Helper()
	if !c.opts.Audit {
		t.Fatal("reading the audit log: the cluster was started without Options.Audit")
	}
}

// readAudit parses the complete lines of the log that begin at offset or after it and have each of
// mentions in them. A line that was being written when that was the size of the log is not among
// them. It holds one line at a time, as a log may have gigabytes.
func readAudit(path string, offset int64, mentions ...string) ([]AuditEvent, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(max(offset-1, 0), io.SeekStart); err != nil {
		return nil, err
	}
	lines := lineReader{from: bufio.NewReaderSize(file, 64<<10)}
	if offset > 0 { // The first byte is the end of a line, or within one.
		if _, err := lines.next(); err != nil {
			return nil, noEOF(err)
		}
	}
	var events []AuditEvent
	for {
		line, err := lines.next()
		if err != nil { // At the end a line is being written, or was when the API server was killed.
			return events, noEOF(err)
		}
		if slices.ContainsFunc(mentions, func(m string) bool { return !bytes.Contains(line, []byte(m)) }) {
			continue
		}
		event, err := parseEvent(line)
		if err != nil {
			return nil, fmt.Errorf("parsing %q: %w", line, err)
		}
		events = append(events, event)
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// lineReader reads lines of any length.
type lineReader struct {
	from *bufio.Reader
	long []byte // room for a line that is longer than the buffer of from
}

// next returns the next line with its end. It is valid until the next call.
func (r *lineReader) next() ([]byte, error) {
	r.long = r.long[:0]
	for {
		part, err := r.from.ReadSlice('\n')
		if err == nil && len(r.long) == 0 {
			return part, nil
		}
		r.long = append(r.long, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return r.long, err
		}
	}
}

// eventBegin is how every line of the log begins.
var eventBegin = []byte(`{"kind":"Event"`)

// parseEvent parses one line. Before the event there may be the beginning of another one: the API
// server was killed while it wrote that, and the next one has gone on behind it.
func parseEvent(line []byte) (AuditEvent, error) {
	var event AuditEvent
	err := json.Unmarshal(line, &event)
	if last := bytes.LastIndex(line, eventBegin); err != nil && last > 0 {
		event = AuditEvent{}
		err = json.Unmarshal(line[last:], &event)
	}
	return event, err
}

// syncUserAgent marks the requests of syncAudit.
const syncUserAgent = "kooperd-test-cluster-audit-sync"

// syncAudit waits until the log has a request that is made now: an event is written after its
// answer is on its way, so that a client can be ahead of the log. It does nothing while the server
// is away.
func (c *Cluster) syncAudit(t testing.TB) {
	t.Helper()
	if !c.responsive() {
		return
	}
	size, err := c.auditSize()
	if err != nil {
		t.Fatalf("reading the audit log: %v", err)
	}
	marker := "/version?audit-sync=" + unique()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), requestTimeout)
	defer cancel()
	err = c.Client().Discovery().RESTClient().Get().RequestURI(marker).SetHeader("User-Agent", syncUserAgent).Do(ctx).Error()
	if err != nil {
		t.Fatalf("asking for an entry in the audit log: %v", err)
	}
	err = wait.PollUntilContextTimeout(ctx, time.Millisecond, requestTimeout, true, func(context.Context) (bool, error) {
		events, err := readAudit(c.auditLog(), size, marker)
		return len(events) > 0, err
	})
	if err != nil {
		t.Fatalf("waiting for an entry in the audit log: %v", err)
	}
}

// auditSize returns the size of the audit log in bytes, which is where a line begins or goes on.
func (c *Cluster) auditSize() (int64, error) {
	info, err := os.Stat(c.auditLog())
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
