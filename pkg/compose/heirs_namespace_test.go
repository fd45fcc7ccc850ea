package compose

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// An heir that makes children in a namespace of the donor may own no namespaces. As long as it is
// not known what it wants, the donor keeps the namespace.
func TestNamespaceAroundTheHeirsChildren(t *testing.T) {
	space := handlers.Child{Name: "space", Object: untyped(namespaceKind, "", "space", nil), Policy: handlers.ChildPolicy{Prune: true}}
	inside := handlers.Child{Name: "inside", Object: untyped(configMapKind, "space", "inside", nil)}
	for name, unknown := range map[string]func(m *movesRig){
		"its composer fails": func(m *movesRig) { m.failing = errDamaged; m.queue = append(m.queue, "heir") },
		"both are restarted": func(m *movesRig) {
			m.moves = NewMoves()
			m.moves.Set([]Party{m.donorAs, m.heirAs})
			m.donor.Moves, m.heir.Moves = m.moves, m.moves
			m.begin(m.donor)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMovesRig(t, []schema.GroupVersionKind{configMapKind, namespaceKind}, space, inside)
			m.change(pages(space), pages(inside))
			m.takeOver()
			m.begin(m.heir)
			m.run(t, "donor", "heir")
			m.deleted()
			m.keeps = nil
			unknown(m)
			m.run(t, "donor")
			if deleted := m.deleted(); len(deleted) > 0 {
				t.Errorf("while the heir is not known, there are deletions: %v", deleted)
			}
			m.failing, m.wants = nil, nil
			m.begin(m.heir)
			m.run(t, "heir")
			want := []string{"DELETE /api/v1/namespaces/space", "DELETE /api/v1/namespaces/space/configmaps/inside"}
			if diff := cmp.Diff(want, m.deleted()); diff != "" {
				t.Errorf("deletions (-want +got):\n%s", diff)
			}
		})
	}
}

// deleted are the requests that delete something, whatever it is.
func (m *movesRig) deleted() []string {
	return slices.DeleteFunc(m.donor.asked(), func(text string) bool { return !strings.HasPrefix(text, "DELETE ") })
}
