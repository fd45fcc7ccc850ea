package marker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// LabelTarget is on the ConfigMaps that are handled, and LabelMarker on those that calls write.
const (
	LabelTarget = "failover.kooperd.dev/target"
	LabelMarker = "failover.kooperd.dev/marker"
)

// Prefix is what the name of a marker has before the name of the ConfigMap that was handled.
const Prefix = "marker-"

// Stamp is what one call writes into a marker.
type Stamp struct {
	// Identity is the holderIdentity of the replica.
	Identity string
	// PID is its process.
	PID int
	// Term counts the terms that the process has noticed, from 1.
	Term int64
	// Write counts the writes of the process, from 1, whatever became of them.
	Write int64
	// Sent is when the write was begun, by the replica's wall clock.
	Sent time.Time
}

// Data is the stamp as it stands in a ConfigMap.
func (s Stamp) Data() map[string]string {
	return map[string]string{
		"identity": s.Identity,
		"pid":      strconv.Itoa(s.PID),
		"term":     strconv.FormatInt(s.Term, 10),
		"write":    strconv.FormatInt(s.Write, 10),
		"sent":     s.Sent.UTC().Format(time.RFC3339Nano),
	}
}

// Parse reads a stamp from the data of a ConfigMap.
func Parse(data map[string]string) (Stamp, error) {
	s := Stamp{Identity: data["identity"]}
	var err error
	if s.PID, err = strconv.Atoi(data["pid"]); err != nil {
		return Stamp{}, fmt.Errorf("reading the marker's pid: %w", err)
	}
	if s.Term, err = strconv.ParseInt(data["term"], 10, 64); err != nil {
		return Stamp{}, fmt.Errorf("reading the marker's term: %w", err)
	}
	if s.Write, err = strconv.ParseInt(data["write"], 10, 64); err != nil {
		return Stamp{}, fmt.Errorf("reading the marker's count: %w", err)
	}
	if s.Sent, err = time.Parse(time.RFC3339Nano, data["sent"]); err != nil {
		return Stamp{}, fmt.Errorf("reading the marker's time: %w", err)
	}
	return s, nil
}

// Writer writes the markers of one process. It is safe for concurrent use.
type Writer struct {
	client   kubernetes.Interface
	identity string
	timeout  time.Duration
	writes   atomic.Int64
	term     atomic.Int64
}

// NewWriter returns a writer for the replica called identity whose writes take at most timeout
// each.
func NewWriter(client kubernetes.Interface, identity string, timeout time.Duration) *Writer {
	w := &Writer{client: client, identity: identity, timeout: timeout}
	w.term.Store(1)
	return w
}

// NextTerm makes the following stamps those of a later term.
func (w *Writer) NextTerm() { w.term.Add(1) }

// Write stamps the marker of the ConfigMap called target, which must exist, in the same namespace.
func (w *Writer) Write(ctx context.Context, namespace, target string) error {
	stamp := Stamp{
		Identity: w.identity, PID: os.Getpid(), Term: w.term.Load(), Write: w.writes.Add(1), Sent: time.Now(),
	}
	patch, err := json.Marshal(map[string]any{"data": stamp.Data()})
	if err != nil {
		return fmt.Errorf("encoding the marker: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	_, err = w.client.CoreV1().ConfigMaps(namespace).Patch(ctx, Prefix+target, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("writing the marker of %s/%s: %w", namespace, target, err)
	}
	return nil
}
