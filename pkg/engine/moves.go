package engine

import (
	"encoding/hex"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
)

// parties are the definitions of a config between which children may move.
func parties(cfg *config.Config, installation string) (all []compose.Party) {
	for _, def := range cfg.Definitions {
		if !def.Handler.Composes() {
			continue
		}
		party := compose.Party{
			Identity: identityOf(def, installation), Donors: def.Donors, Digest: textOfDigest(def), Selection: selectionOf(def),
		}
		for _, owned := range def.Handler.Owns() {
			party.Owns = append(party.Owns, schema.FromAPIVersionAndKind(owned.APIVersion, owned.Kind).GroupKind())
		}
		all = append(all, party)
	}
	return all
}

// identityOf is which children are those of a definition.
func identityOf(def config.Definition, installation string) compose.Identity {
	return compose.Identity{Installation: installation, Definition: def.IDs()[0], Formerly: def.Formerly}
}

// textOfDigest stands for all that the file says of a definition.
func textOfDigest(def config.Definition) string { return hex.EncodeToString(def.Digest[:]) }

// refreshMoves is called when the caches of a revision may have become complete, or not so.
func refreshMoves(c *composing) {
	if c != nil && c.reconciler.Load() != nil {
		c.controller.moves.Look(c.revision.def.IDs()[0])
	}
}
