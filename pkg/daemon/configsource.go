package daemon

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/reload"
)

// addConfigMaps declares the flag of commands about the rights of a config that kooperd is going to
// read from ConfigMaps.
func addConfigMaps(set *pflag.FlagSet, names *[]string) {
	set.StringArrayVar(names, "configmap", nil,
		"ConfigMap from which kooperd reads this config, as NAMESPACE/NAME; may be repeated, in the order of kooperd's --config")
}

// parseConfigMaps reads the values of that flag, which may also stand as in --config.
func parseConfigMaps(names []string) (access.ConfigSource, error) {
	var source access.ConfigSource
	for _, text := range names {
		name, _, err := reload.ParseConfigMap(reload.ConfigMapPrefix + strings.TrimPrefix(text, reload.ConfigMapPrefix))
		if err != nil {
			return access.ConfigSource{}, fmt.Errorf("--configmap %q: want NAMESPACE/NAME", text)
		}
		source.ConfigMaps = append(source.ConfigMaps, name)
	}
	if len(source.ConfigMaps) > 0 {
		source.Accepted = reload.StateOf(source.ConfigMaps[0])
	}
	return source, nil
}
