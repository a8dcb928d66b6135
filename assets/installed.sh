#!/bin/sh
# Whether node_modules holds exactly the versions that package.json names.
cd "$(dirname "$0")/.." || exit 1
node -e '
const wanted = require("./package.json").devDependencies;
for (const [name, version] of Object.entries(wanted)) {
  const found = JSON.parse(require("fs").readFileSync(`node_modules/${name}/package.json`)).version;
  if (found !== version) process.exit(1);
}' 2>/dev/null
