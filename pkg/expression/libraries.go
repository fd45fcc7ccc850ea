package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
	kubernetes "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/library"
)

// libraries returns what all expressions have besides CEL itself: all of CEL's extensions and of
// the libraries of Kubernetes whose answers depend on their arguments alone. Left out are those
// that ask the API server, those for structs of Go and protocol buffers, and the extension for
// networks, which is in the way of Kubernetes' own.
func libraries() []cel.EnvOption {
	return []cel.EnvOption{
		ext.Strings(),
		ext.Lists(ext.ListsVersion(2)), // Later versions differ in their account of the cost alone.
		ext.Math(),
		ext.Sets(),
		ext.Encoders(ext.EncodersVersion(0)), // json.encode of the next one costs more than any limit.
		jsonEncoder(),
		ext.Bindings(),
		ext.TwoVarComprehensions(),
		ext.Regex(),
		library.Lists(library.ListsVersion(1)),
		library.Regex(),
		library.URLs(),
		library.Quantity(),
		library.IP(),
		library.CIDR(),
		library.Format(),
		library.SemverLib(library.SemverVersion(1)),
		texts(),
	}
}

// jsonEncoder declares json.encode, whose texts are the same for the same values: keys are sorted.
func jsonEncoder() cel.EnvOption {
	return cel.Function("json.encode", cel.Overload("json_encode_dyn", []*cel.Type{cel.DynType}, cel.StringType,
		cel.UnaryBinding(func(v ref.Val) ref.Val {
			value, present, err := Value(v)
			switch {
			case err != nil:
				return types.WrapErr(err)
			case !present:
				return types.WrapErr(errors.New("there is no value"))
			}
			var text bytes.Buffer
			encoder := json.NewEncoder(&text)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(value); err != nil {
				return types.WrapErr(err)
			}
			return types.String(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
		})))
}

// ofKubernetes are the types of the libraries of Kubernetes by their names in CEL: what messages
// say that a value is, and what signatures call its type.
var ofKubernetes = map[string]struct{ what, short string }{
	kubernetes.QuantityType.TypeName(): {"a parsed quantity", "Quantity"},
	kubernetes.IPType.TypeName():       {"an IP address", "IP"},
	kubernetes.CIDRType.TypeName():     {"a network", "CIDR"},
	kubernetes.URLType.TypeName():      {"a URL", "URL"},
	kubernetes.SemverType.TypeName():   {"a semantic version", "Semver"},
	kubernetes.FormatType.TypeName():   {"a format", "Format"},
}

// texts declares string() for the types of Kubernetes of which its libraries make no text.
func texts() cel.EnvOption {
	text := cel.UnaryBinding(func(v ref.Val) ref.Val {
		value, ok := v.Value().(fmt.Stringer)
		if !ok {
			return types.MaybeNoSuchOverloadErr(v)
		}
		return types.String(value.String())
	})
	return cel.Function("string",
		cel.Overload("quantity_to_string", []*cel.Type{kubernetes.QuantityType}, cel.StringType, text),
		cel.Overload("url_to_string", []*cel.Type{kubernetes.URLType}, cel.StringType, text),
		cel.Overload("semver_to_string", []*cel.Type{kubernetes.SemverType}, cel.StringType, text),
	)
}
