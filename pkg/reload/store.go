package reload

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/config"
)

// stateSuffix makes the name of the ConfigMap with the last accepted config from the source's.
const stateSuffix = "-accepted"

// Keys of that ConfigMap. The first is for kooperd, the others for readers.
const (
	acceptedKey = "accepted.json.gz"
	hashKey     = "hash"
	timeKey     = "acceptedAt"
)

// maxAccepted bounds what is unpacked: the texts of a config and their frame.
const maxAccepted = 32 << 20

// StateOf returns the name of the ConfigMap that keeps the last accepted config of a source. It
// stands beside the source and not beside the lease: a process has to find it while the newest
// config, which would say where the lease is, is refused.
func StateOf(source types.NamespacedName) types.NamespacedName {
	return types.NamespacedName{Namespace: source.Namespace, Name: source.Name + stateSuffix}
}

// accepted is a config as it is stored.
type accepted struct {
	Versions map[string]string `json:"versions"`
	Hash     string            `json:"hash"`
	Files    []config.File     `json:"files"`

	resourceVersion string // of the ConfigMap it was read from; empty when there is none
}

// Store keeps the last accepted config in a ConfigMap.
type Store struct {
	name          types.NamespacedName
	reads, writes corev1client.ConfigMapInterface
}

// NewStore returns the store of that name, from which can be read.
func NewStore(name types.NamespacedName, reads corev1client.ConfigMapsGetter) *Store {
	return &Store{name: name, reads: reads.ConfigMaps(name.Namespace)}
}

// WriteBy sets the client for writing. It should go through the gate, so that nothing is written
// outside of a term. It is called before Reloader.Run and Reloader.Lead.
func (s *Store) WriteBy(client corev1client.ConfigMapsGetter) {
	s.writes = client.ConfigMaps(s.name.Namespace)
}

// errUnreadable is the error for a state that this binary cannot read: somebody has edited it, or a
// later version has written it.
var errUnreadable = errors.New("it cannot be read")

// load returns what is stored, read live; nil when nothing is.
func (s *Store) load(ctx context.Context) (*accepted, error) {
	object, err := s.reads.Get(ctx, s.name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nothing is stored, and that is no error
	}
	if err != nil {
		return nil, fmt.Errorf("reading the accepted config in ConfigMap %s: %w", s.name, err)
	}
	a := &accepted{resourceVersion: object.ResourceVersion}
	if packed := object.BinaryData[acceptedKey]; len(packed) == 0 || unpack(packed, a) != nil || len(a.Files) == 0 {
		return a, fmt.Errorf("reading the accepted config in ConfigMap %s: %w", s.name, errUnreadable)
	}
	return a, nil
}

// save stores a in place of what has before's resourceVersion, and returns the new one. The error
// is a conflict when something else is stored meanwhile.
func (s *Store) save(ctx context.Context, a accepted, now time.Time) (resourceVersion string, err error) {
	packed, err := pack(a)
	if err != nil {
		return "", err
	}
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.name.Namespace, Name: s.name.Name, ResourceVersion: a.resourceVersion,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "kooperd"},
		},
		Data:       map[string]string{hashKey: a.Hash, timeKey: now.UTC().Format(time.RFC3339)},
		BinaryData: map[string][]byte{acceptedKey: packed},
	}
	write := s.writes.Update
	if a.resourceVersion == "" {
		write = func(ctx context.Context, object *corev1.ConfigMap, _ metav1.UpdateOptions) (*corev1.ConfigMap, error) {
			return s.writes.Create(ctx, object, metav1.CreateOptions{})
		}
	}
	stored, err := write(ctx, object, metav1.UpdateOptions{})
	if err != nil {
		return "", fmt.Errorf("storing the accepted config in ConfigMap %s: %w", s.name, err)
	}
	return stored.ResourceVersion, nil
}

// isConflict reports whether something else has been stored meanwhile.
func isConflict(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

func pack(a accepted) ([]byte, error) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if err := json.NewEncoder(w).Encode(a); err != nil {
		return nil, fmt.Errorf("packing the accepted config: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing the accepted config: %w", err)
	}
	return buf.Bytes(), nil
}

func unpack(packed []byte, into *accepted) error {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	return json.NewDecoder(io.LimitReader(r, maxAccepted)).Decode(into)
}
