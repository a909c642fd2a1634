//! The schema that users see: the stored tables, and views that are planned when a statement names them.
//!
//! A view costs milliseconds to plan, and most statements name none: a process that answers one question should not wait for all of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::{TableType, ViewTable};
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;

use super::views::{VIEWS, View};

type State = Box<dyn Fn() -> Option<SessionState> + Send + Sync>;

/// Tables and views under the names that statements use.
pub(crate) struct Main {
    tables: HashMap<&'static str, Arc<dyn TableProvider>>,
    planned: Mutex<HashMap<&'static str, Arc<dyn TableProvider>>>,
    /// What plans; gone with the engine.
    state: State,
}

impl fmt::Debug for Main {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the schema of the store")
    }
}

impl Main {
    /// Without tables yet; views are planned by `context`.
    pub(crate) fn new(context: &SessionContext) -> Main {
        let state = context.state_weak_ref();
        Main {
            tables: HashMap::new(),
            planned: Mutex::default(),
            state: Box::new(move || state.upgrade().map(|state| state.read().clone())),
        }
    }

    pub(crate) fn add(&mut self, name: &'static str, table: Arc<dyn TableProvider>) {
        self.tables.insert(name, table);
    }

    async fn plan(&self, view: &View) -> Result<Option<Arc<dyn TableProvider>>> {
        // Two statements may plan the same view at once; both plans are good.
        let known = |planned: &HashMap<_, _>| planned.get(view.name).cloned();
        if let Some(table) = known(&self.planned.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Some(table));
        }
        let Some(state) = (self.state)() else {
            return Ok(None);
        };
        let plan = state.create_logical_plan(view.sql).await?;
        let table: Arc<dyn TableProvider> =
            Arc::new(ViewTable::new(plan, Some(view.sql.to_owned())));
        self.planned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(view.name, Arc::clone(&table));
        Ok(Some(table))
    }
}

fn view(name: &str) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.name == name)
}

#[async_trait::async_trait]
impl SchemaProvider for Main {
    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .tables
            .keys()
            .copied()
            .chain(VIEWS.iter().map(|view| view.name))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match view(name) {
            Some(view) => self.plan(view).await,
            None => Ok(self.tables.get(name).cloned()),
        }
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(match view(name) {
            Some(_) => Some(TableType::View),
            None => self.tables.get(name).map(|table| table.table_type()),
        })
    }

    fn table_exist(&self, name: &str) -> bool {
        view(name).is_some() || self.tables.contains_key(name)
    }
}
