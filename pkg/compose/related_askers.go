package compose

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// relatedPlace is where related objects of one kind are. Namespace and name are empty for any.
type relatedPlace struct {
	kind            schema.GroupVersionKind
	namespace, name string
}

// relatedIndex has the parents that have asked for something at a place. An event of a related
// object has four places where it may have been asked for, however many parents there are.
type relatedIndex map[relatedPlace]map[types.UID]struct{}

// places are where a matcher looks.
func (m matcher) places() []relatedPlace {
	if len(m.names) == 0 {
		return []relatedPlace{{kind: m.kind, namespace: m.namespace}}
	}
	places := make([]relatedPlace, len(m.names))
	for i, name := range m.names {
		places[i] = relatedPlace{kind: m.kind, namespace: m.namespace, name: name}
	}
	return places
}

func (x relatedIndex) add(uid types.UID, asked []matcher) {
	for _, m := range asked {
		for _, at := range m.places() {
			if x[at] == nil {
				x[at] = map[types.UID]struct{}{}
			}
			x[at][uid] = struct{}{}
		}
	}
}

func (x relatedIndex) remove(uid types.UID, asked []matcher) {
	for _, m := range asked {
		for _, at := range m.places() {
			delete(x[at], uid)
			if len(x[at]) == 0 {
				delete(x, at)
			}
		}
	}
}

// setRelated notes what a Relater has asked for, for a parent in a namespace.
func (m *Memory) setRelated(parent types.UID, namespace string, asked []handlers.Related) {
	matchers := make([]matcher, len(asked))
	for i, related := range asked {
		matchers[i] = newMatcher(related, namespace)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.of(parent)
	m.asking.remove(parent, p.related)
	p.related = matchers
	m.asking.add(parent, matchers)
}

// askersOf returns the parents whose composer has asked for something of a kind and key of which is
// true. Of one that has never been asked, nothing is known, and its first call is still to come.
func askersOf(m *Memory, kind schema.GroupVersionKind, key kube.Key, is func(matcher) bool) (keys []kube.Key) {
	places := []relatedPlace{{kind: kind}, {kind: kind, name: key.Name}}
	if key.Namespace != "" {
		places = append(places, relatedPlace{kind: kind, namespace: key.Namespace}, relatedPlace{kind: kind, namespace: key.Namespace, name: key.Name})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	met := map[types.UID]bool{}
	for _, at := range places {
		for uid := range m.asking[at] {
			p := m.parents[uid]
			if met[uid] || !slices.ContainsFunc(p.related, func(asked matcher) bool { return asked.kind == kind && is(asked) }) {
				continue
			}
			met[uid] = true
			keys = append(keys, p.key)
		}
	}
	return keys
}

// askers returns the parents whose composer has asked for something of which is true.
func (m *Memory) askers(is func(matcher) bool) (keys []kube.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parents {
		if slices.ContainsFunc(p.related, is) {
			keys = append(keys, p.key)
		}
	}
	return keys
}
