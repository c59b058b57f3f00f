import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['node_modules/**', '**/*.mjs', '**/*.js', '.troupe/**'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-restricted-syntax': [
        'error',
        // tsc (nodenext) lets both of these pass; node 24 then fails at run time
        {
          selector:
            'ImportDeclaration[source.value=/^\\..*\\.js$/], ExportNamedDeclaration[source.value=/^\\..*\\.js$/], ExportAllDeclaration[source.value=/^\\..*\\.js$/]',
          message: 'import the .ts file itself',
        },
        { selector: 'Decorator', message: 'node 24 cannot run decorators' },
      ],
    },
  },
);
