package offline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kinds"
)

// Key names one object, whatever version of its kind it is read as.
type Key struct {
	schema.GroupKind
	Namespace, Name string
}

// String is the object as people name it: "ConfigMap team-a/web".
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// KeyOf is the name of an object.
func KeyOf(o *unstructured.Unstructured) Key {
	return Key{GroupKind: o.GroupVersionKind().GroupKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// entry is what is known of one object.
type entry struct {
	before, now *unstructured.Unstructured // nil for none
	local       bool                       // the API server, if there is one, is asked nothing about it
	stale       bool                       // the API server has said that it is another one by now
	diverged    bool                       // the same, since its managedFields are others here
	finalizers  bool                       // those of now are not those that the API server knows
}

// Server holds objects, and answers requests for them. It is safe for concurrent use.
type Server struct {
	finder kinds.Finder

	base      *Snapshot  // nil for none
	confirm   *confirmer // nil where every write is tried
	mu        sync.Mutex
	changer   changer
	objects   map[Key]*entry
	forbidden []string
}

// firstVersion is the first resourceVersion that is given out. The runtime of composers asks for
// version 1 where it wants to create.
const firstVersion = 1000

// NewServer returns a Server without objects. finder knows the kinds that it is asked for.
func NewServer(finder kinds.Finder) *Server {
	return &Server{finder: finder, changer: changer{merger: newMerger(), version: firstVersion}, objects: map[Key]*entry{}}
}

// Put adds an object, as it is before anything is done. It takes the object over. Without a UID, it
// gets one that follows from its name.
func (s *Server) Put(o *unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(o)
}

// put is Put with s.mu held.
func (s *Server) put(o *unstructured.Unstructured) {
	if o.GetUID() == "" {
		o.SetUID(UIDOf(KeyOf(o)))
	}
	if o.GetResourceVersion() == "" {
		o.SetResourceVersion(s.changer.nextVersion())
	}
	if o.GetGeneration() == 0 {
		o.SetGeneration(1)
	}
	s.objects[KeyOf(o)] = &entry{before: o, now: o.DeepCopy()}
}

// PutLocal is Put for an object that is to be another one than the API server has, if that has it.
// Writes of it are not tried there.
func (s *Server) PutLocal(o *unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(o)
	s.objects[KeyOf(o)].local = true
}

// UIDOf is the UID of an object that has none: it follows from its name.
func UIDOf(k Key) types.UID {
	sum := sha256.Sum256([]byte(strings.Join([]string{k.Group, k.Kind, k.Namespace, k.Name}, "\x00")))
	text := hex.EncodeToString(sum[:16])
	return types.UID(fmt.Sprintf("%s-%s-%s-%s-%s", text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
}

// Before returns an object as it was before anything was done, and Now as it is; nil for none. They
// must not be changed.
func (s *Server) Before(k Key) *unstructured.Unstructured {
	e, _ := s.known(k)
	return e.before
}

// Now is described with Before.
func (s *Server) Now(k Key) *unstructured.Unstructured {
	e, _ := s.known(k)
	return e.now
}

// known returns what is known of an object.
func (s *Server) known(k Key) (entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(k)
	if e == nil {
		return entry{}, false
	}
	return *e, true
}

// entry returns what is known of an object; nil for nothing. s.mu is held.
func (s *Server) entry(k Key) *entry {
	if e := s.objects[k]; e != nil {
		return e
	}
	if o := s.base.object(k); o != nil {
		return &entry{before: o, now: o}
	}
	return nil
}

// list returns what there is of a kind, sorted by namespace and name. Of what selector, nil for
// all, does not select, there may be some among them.
func (s *Server) list(kind schema.GroupVersionKind, selector labels.Selector) []*unstructured.Unstructured {
	found := s.base.candidates(kind, selector)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.objects) == 0 {
		return found
	}
	found = slices.DeleteFunc(slices.Clone(found), func(o *unstructured.Unstructured) bool { return s.objects[KeyOf(o)] != nil })
	for _, e := range s.objects {
		if e.now != nil && e.now.GroupVersionKind() == kind {
			found = append(found, e.now)
		}
	}
	slices.SortFunc(found, compareObjects)
	return found
}

// byUID returns the object of a kind with a UID; nil for none.
func byUID(s *Server, kind schema.GroupVersionKind, uid types.UID) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.objects {
		if e.now != nil && e.now.GetUID() == uid && e.now.GroupVersionKind() == kind {
			return e.now
		}
	}
	if s.base == nil {
		return nil
	}
	if o := s.base.byUID[uid]; o != nil && o.GroupVersionKind() == kind && s.objects[KeyOf(o)] == nil {
		return o
	}
	return nil
}

// Forbidden returns what the API server has said about rights that are missing, each once.
func (s *Server) Forbidden() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.forbidden)
}

func (s *Server) noteForbidden(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.forbidden, message) {
		s.forbidden = append(s.forbidden, message)
	}
}

// Config is for clients that talk to the Server and to nothing else.
func (s *Server) Config() *rest.Config {
	return &rest.Config{Host: "http://offline.invalid", Transport: exchange{server: s}, QPS: -1}
}

// Over returns a copy of a config for clients that talk to an API server by way of the Server. No
// write gets through but as a dry run.
func (s *Server) Over(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(base http.RoundTripper) http.RoundTripper {
		return exchange{server: s, base: s.confirm.transport(base)}
	})
	return config
}

// PutAs is Put for an object of which a field manager has applied what owned has, and nobody has
// anything else by name.
func (s *Server) PutAs(o, owned *unstructured.Unstructured, manager string) error {
	applied, err := s.changer.merger.apply(nil, owned, manager, true)
	if err != nil {
		return fmt.Errorf("reading %s: %w", KeyOf(o), err)
	}
	o.SetManagedFields(applied.GetManagedFields())
	s.Put(o)
	return nil
}
