package compose

import (
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/kube"
)

// childTotals counts the children of all parents of one definition. It is safe for concurrent use.
type childTotals struct {
	mu  sync.Mutex
	now counts
}

func (t *childTotals) add(by counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = t.now.plus(by)
}

// ChildrenByState counts the children of all parents, as the last passes have left them, in the
// words of the metric.
func ChildrenByState(m *Memory) map[string]int {
	m.children.mu.Lock()
	defer m.children.mu.Unlock()
	now := m.children.now
	return map[string]int{"ready": now.ready, "notReady": now.notReady, "refused": now.refused}
}

// MadeFor is what a child says of whom it was made for.
type MadeFor struct {
	// Definition is the id of the definition.
	Definition string
	// Parent names the parent, and ParentUID tells it from others of that name.
	Parent    kube.Key
	ParentUID types.UID
}

// ParentOf returns what an object says of its parent; false if it is no child of the installation.
// Whoever has written the object may have written that, so it is no proof.
func ParentOf(installation string, m *metav1.ObjectMeta) (MadeFor, bool) {
	marks := marksOf(m)
	if marks.installation != installation || !marks.hasParent {
		return MadeFor{}, false
	}
	return MadeFor{Definition: marks.definition, Parent: keyOfParent(marks.parent), ParentUID: marks.parentUID}, true
}

// keyOfParent reads the annotation of a child.
func keyOfParent(text string) kube.Key {
	if namespace, name, ok := strings.Cut(text, "/"); ok {
		return kube.Key{Namespace: namespace, Name: name}
	}
	return kube.Key{Name: text}
}
