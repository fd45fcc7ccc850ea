package engine

import (
	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/offline"
)

// plannedOf is what the trials of a plan share besides the composer. A nil *plannedOf is that of a
// single trial.
type plannedOf struct {
	moves  *compose.Moves
	former []compose.OwnedRecord // kinds that the definition does not own any more
	first  *compose.Reconciler   // whose knowledge of the parents' kind is used by all
}

// parents are those of a server that the definition watches. A single trial may be about another
// one.
func (t *Trials) parents(server *offline.Server) *offline.View {
	watch := t.Definition.Watch
	view := &offline.View{Server: server, Kind: watch.Kind}
	if t.planned != nil {
		view.Namespaces, view.Labels, view.Fields = watch.Namespaces, watch.LabelSelector, watch.FieldSelector
	}
	return view
}

// membership is what the definition has to do with others of the plan.
func (t *Trials) membership() compose.Membership {
	if t.planned == nil {
		return compose.Membership{}
	}
	return compose.Membership{Moves: t.planned.moves, Digest: textOfDigest(t.Definition)}
}

// prepare adds to a runtime what it has in a plan.
func (p *plannedOf) prepare(r *compose.Reconciler, server *offline.Server) {
	if p == nil {
		return
	}
	if p.first != nil {
		compose.ShareShape(r, p.first)
	}
	for _, kind := range p.former {
		r.AddFormer(compose.ChildSource{
			OwnedKind:  handlers.OwnedKind{APIVersion: kind.APIVersion, Kind: kind.Kind, AnyNamespace: kind.AnyNamespace, MetadataOnly: true},
			Namespaces: kind.Namespaces, Except: kind.Except,
			Source: &offline.View{
				Server: server, Kind: kind.GroupVersionKind(), FieldManager: compose.FieldManager, MetadataOnly: true, Namespaces: kind.Namespaces,
			},
		})
	}
}
